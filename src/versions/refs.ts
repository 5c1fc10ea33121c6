import { corrupt, VsimgError } from '../errors.ts';
import { ByteReader, ByteWriter } from '../format/cursor.ts';
import { bytesToKey, keyToBytes, NUMBER_KEY_BYTES, numberInKey, numberKey } from '../format/record-page.ts';
import { getRecord, putRecord, records, removeRecord } from '../map/records.ts';
import type { VersionTrees } from './version-table.ts';

export type RefKind = 'tag' | 'branch';

export interface NamedRef {
  readonly name: string;
  readonly kind: RefKind;
  readonly version: number;
}

const KIND_CODE = { tag: 1, branch: 2 } as const;
const MAX_NAME_BYTES = 255;
const NOTHING = new Uint8Array(0);

/** Tags and branches by name, and the names of each version. */
export class Refs {
  private readonly trees: VersionTrees;

  constructor(trees: VersionTrees) {
    this.trees = trees;
  }

  get(name: string): NamedRef | undefined {
    const value = getRecord(this.trees.refs, nameKey(name));
    return value === undefined ? undefined : decodeRef(name, value);
  }

  /** In order of their names' bytes: all, or those whose names begin so. */
  *all(beginning = ''): Generator<NamedRef> {
    const start = nameKey(beginning);
    for (const { key, value } of records(this.trees.refs, start)) {
      if (!key.startsWith(start)) return;
      yield decodeRef(keyName(key), value);
    }
  }

  /** Names of one version. */
  of(version: number): NamedRef[] {
    const names: NamedRef[] = [];
    for (const { key } of records(this.trees.marks, numberKey(version), numberKey(version + 1))) {
      const ref = this.get(keyName(key.slice(NUMBER_KEY_BYTES)));
      if (ref !== undefined && ref.version === numberInKey(key)) names.push(ref);
    }
    return names;
  }

  /** Makes or moves a name. Errors: 'corrupt' for one that is not valid, as a hostile header may have for its branch. */
  set(ref: NamedRef): void {
    requireName(ref.name);
    const old = this.get(ref.name);
    if (old !== undefined) removeRecord(this.trees.marks, numberKey(old.version) + nameKey(ref.name));
    const writer = new ByteWriter(9);
    writer.byte(KIND_CODE[ref.kind]);
    writer.varint(ref.version);
    putRecord(this.trees.refs, nameKey(ref.name), writer.finish());
    putRecord(this.trees.marks, numberKey(ref.version) + nameKey(ref.name), NOTHING);
  }

  remove(ref: NamedRef): void {
    removeRecord(this.trees.refs, nameKey(ref.name));
    removeRecord(this.trees.marks, numberKey(ref.version) + nameKey(ref.name));
  }
}

function nameKey(name: string): string {
  return bytesToKey(Buffer.from(name, 'utf8'));
}

/** The name that a key of the tree of names stands for. Errors: 'corrupt' for one that nobody could have given, which may be anything but fit to be shown. */
export function keyName(key: string): string {
  const name = Buffer.from(keyToBytes(key)).toString('utf8');
  requireName(name);
  if (nameKey(name) !== key) throw corrupt('tags and branches: a name is not valid UTF-8');
  return name;
}

function requireName(name: string): void {
  const reason = badName(name);
  if (reason !== undefined) throw corrupt(`tags and branches: ${JSON.stringify(name)} is not a valid name: ${reason}`);
}

/** Errors: 'corrupt'. */
export function decodeRef(name: string, value: Uint8Array): NamedRef {
  const reader = new ByteReader(value, `name '${name}'`);
  const code = reader.byte();
  const version = reader.varint();
  reader.end();
  if (code !== KIND_CODE.tag && code !== KIND_CODE.branch) reader.fail('is of an unknown kind');
  return { name, kind: code === KIND_CODE.tag ? 'tag' : 'branch', version };
}

/**
 * The rules of git-check-ref-format, and two of our own: a name is never all digits (those are version
 * numbers) and holds no `@` (it separates image and revision). Errors: 'usage'.
 */
export function checkRefName(name: string): void {
  const reason = badName(name);
  if (reason !== undefined)
    throw new VsimgError('usage', `'${name}' is not a valid name: ${reason}`, {
      hint: 'use letters, digits, and . _ - / between them',
    });
}

function badName(name: string): string | undefined {
  if (name === '') return 'it is empty';
  if (Buffer.byteLength(name, 'utf8') > MAX_NAME_BYTES) return `it is longer than ${MAX_NAME_BYTES} bytes`;
  if (/^[0-9]+$/.test(name)) return 'all digits would be a version number';
  if (name === 'HEAD') return 'HEAD is the version checked out';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for.
  if (/[\u0000-\u0020\u007f~^:?*[\\@]/.test(name))
    return 'it holds a space, a control character or one of ~ ^ : ? * [ \\ @';
  if (name.startsWith('-')) return 'it starts with -';
  if (name.includes('..')) return 'it holds ..';
  if (name.split('/').some((part) => part === '' || part.startsWith('.') || part.endsWith('.lock')))
    return 'a part between / is empty, starts with . or ends with .lock';
  if (name.endsWith('.')) return 'it ends with .';
  if (!name.isWellFormed()) return 'it is not valid Unicode';
  return undefined;
}
