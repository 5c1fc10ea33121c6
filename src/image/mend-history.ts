import { isDamage, unlessCorrupt } from '../errors.ts';
import type { TreeName } from '../format/header.ts';
import { NUMBER_KEY_BYTES, numberInKey, numberKey, type Records } from '../format/record-page.ts';
import { putRecord, type RecordEntry } from '../map/records.ts';
import { walkTree } from '../map/walk.ts';
import { decodeRef, keyName, type NamedRef } from '../versions/refs.ts';
import type { Container } from './container.ts';
import type { Inspection } from './inspect.ts';

const NOTHING = new Uint8Array(0);
/** More numbers than that say nothing to anybody. */
const MAX_NAMED = 20;

/** Puts the versions, their order and their names that can be read in `old` into the trees of `next` that are empty. */
export function mendHistory(old: Container, next: Container, inspection: Inspection, actions: string[]): void {
  const { damaged, versions } = inspection;
  const numbers = new Set(versions.map(({ number }) => number));
  const isBroken = (name: 'versions' | 'children' | 'refs' | 'marks') => damaged.has(name);
  const lacksParent = versions.filter(({ parent }) => parent !== null && !numbers.has(parent));
  if (isBroken('versions')) {
    for (const { number, ...record } of versions) next.versions.put(number, record);
    const gone = old.header.versionCount - versions.length;
    const names = lostVersions(old, numbers);
    if (names.length > 0)
      actions.push(`versions ${names.slice(0, MAX_NAMED).join(', ')} are lost: their records can not be read`);
    else if (gone > 0) actions.push(`${gone} versions are lost: their records can not be read`);
  }
  for (const { number, ...record } of lacksParent) {
    next.versions.put(number, { ...record, parent: null });
    actions.push(`version ${number} has no parent any more`);
  }
  if (isBroken('versions') || isBroken('children')) {
    for (const { number, parent } of versions)
      if (parent !== null && numbers.has(parent)) putRecord(next.trees.children, numberKey(parent, number), NOTHING);
  }
  if (isBroken('versions') || isBroken('refs') || isBroken('marks')) mendNames(old, next, numbers, actions);
  if (next.head.version !== null && !numbers.has(next.head.version)) {
    next.head = { branch: next.head.branch, version: null };
    actions.push('the version checked out is lost: the working state stays, as changes to nothing');
  }
}

function mendNames(old: Container, next: Container, numbers: ReadonlySet<number>, actions: string[]): void {
  const names = new Map<string, NamedRef>();
  for (const { key, value } of readableRecords(old, 'refs')) {
    const ref = unlessCorrupt(() => decodeRef(keyName(key), value));
    if (ref !== undefined) names.set(ref.name, ref);
  }
  for (const { key } of readableRecords(old, 'marks')) {
    const name = unlessCorrupt(() => keyName(key.slice(NUMBER_KEY_BYTES)));
    if (name === undefined || names.has(name)) continue;
    // The list by version does not tell branches from tags.
    const kind = name === old.head.branch ? 'branch' : 'tag';
    names.set(name, { name, kind, version: numberInKey(key) });
    actions.push(`'${name}' was found again, as a ${kind}`);
  }
  for (const ref of names.values()) {
    if (numbers.has(ref.version)) next.refs.set(ref);
    else actions.push(`${ref.kind} '${ref.name}' is gone: it named version ${ref.version}, which is lost`);
  }
}

/** Numbers of versions that something names and that are not there. */
function lostVersions(container: Container, numbers: ReadonlySet<number>): number[] {
  const named = new Set<number>();
  for (const { key } of readableRecords(container, 'children')) {
    named.add(numberInKey(key));
    named.add(numberInKey(key, NUMBER_KEY_BYTES));
  }
  for (const { key } of readableRecords(container, 'marks')) named.add(numberInKey(key));
  if (container.head.version !== null) named.add(container.head.version);
  return [...named].filter((number) => !numbers.has(number)).sort((a, b) => a - b);
}

/** The records of a tree as far as its pages can be read. */
function readableRecords(container: Container, name: TreeName): RecordEntry[] {
  const found: RecordEntry[] = [];
  walkTree(container.trees[name].layout, container.pages, container.header.trees[name], {
    page: () => true,
    damage: (error) => {
      if (!isDamage(error)) throw error;
    },
    leaf: (leaf: Records) => {
      leaf.keys.forEach((key, index) => {
        found.push({ key, value: leaf.values[index] as Uint8Array });
      });
    },
  });
  return found;
}
