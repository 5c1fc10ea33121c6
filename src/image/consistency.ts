import { isDamage } from '../errors.ts';
import { RECORDS_OFFSET } from '../format/layout.ts';
import { NUMBER_KEY_BYTES, numberInKey } from '../format/record-page.ts';
import type { Segment } from '../log/tables.ts';
import { ExtentMap } from '../map/extent-map.ts';
import { records } from '../map/records.ts';
import { unusedSpace } from '../space/space.ts';
import { decodeRef, keyName } from '../versions/refs.ts';
import type { NumberedVersion } from '../versions/version-table.ts';
import type { CheckFinding } from './api.ts';
import type { Container } from './container.ts';
import { RangeSet } from './ranges.ts';
import type { DamagedTree, Survey } from './survey.ts';

interface Parts {
  readonly container: Container;
  readonly survey: Survey;
  readonly versions: readonly NumberedVersion[];
  readonly segments: readonly Segment[];
  readonly missing: RangeSet;
  /** Gets a tree added that says something wrong. */
  readonly damaged: Set<DamagedTree>;
}

interface Sink {
  add(finding: CheckFinding): void;
}

/** Whether the parts of a container agree with each other; returns the bytes that nothing refers to and that are not listed as free. */
export function checkConsistency(parts: Parts, findings: Sink): number {
  checkSegments(parts, findings);
  const { container, survey, damaged } = parts;
  const isDamaged = damaged.size > 0;
  if (!isDamaged) checkTotals(parts, findings);
  const unlistedBytes = checkSpace(container, survey, isDamaged, (finding) => {
    damaged.add('space');
    findings.add(finding);
  });
  if (damaged.has('versions')) return unlistedBytes;
  checkVersions(parts, findings);
  if (!damaged.has('refs')) checkNames(parts, findings);
  return unlistedBytes;
}

function checkSegments({ container, segments, survey, missing, damaged }: Parts, findings: Sink): void {
  let end = 0;
  for (const { firstLog, entry } of segments) {
    if (firstLog < end) {
      damaged.add('log');
      findings.add({ message: `two segments hold log block ${firstLog}`, hostOffset: entry.place });
    }
    end = Math.max(end, firstLog + entry.blockCount);
  }
  if (end > container.header.log.next)
    findings.add({ message: `segments reach to log block ${end}, the header knows ${container.header.log.next}` });
  // What the tables cannot be read for is reported already.
  if (damaged.has('log')) return;
  for (const range of missing.ranges()) {
    for (const gap of survey.lost.gaps(range.start, range.end)) {
      damaged.add('log');
      findings.add({ message: `log blocks ${gap.start} to ${gap.end} are referred to, but in no segment` });
    }
  }
}

function checkTotals({ container, survey }: Parts, findings: Sink): void {
  const { header } = container;
  if (survey.dataBytes !== header.log.dataBytes)
    findings.add({
      message: `the header counts ${header.log.dataBytes} bytes of data, the segments hold ${survey.dataBytes}`,
    });
  if (survey.versions !== header.versionCount)
    findings.add({
      message: `the header counts ${header.versionCount} versions, the version table holds ${survey.versions}`,
    });
}

function checkSpace(
  container: Container,
  survey: Survey,
  isDamaged: boolean,
  add: (finding: CheckFinding) => void,
): number {
  const { end } = container.header.space;
  const listedBytes = unusedSpace(container.header.space);
  const size = container.storage.size();
  const { missingBytes } = container;
  if (missingBytes > 0)
    add({ message: `the file was cut: ${missingBytes} of its bytes are missing at the end`, hostOffset: size });
  // Touching the totals joins the ranges and finds those that overlap.
  const unusedBytes = survey.unused.totalBytes;
  survey.used.totalBytes;
  for (const [what, set] of [
    ['records', survey.used],
    ['free ranges', survey.unused],
  ] as const) {
    if (set.overlap !== undefined)
      add({ message: `two ${what} overlap at ${set.overlap.start}`, hostOffset: set.overlap.start });
  }
  for (const range of survey.unused.ranges()) {
    for (const both of survey.used.within(range.start, range.end)) {
      add({
        message: `bytes ${both.start} to ${both.end} of the file are listed as free but in use`,
        hostOffset: both.start,
      });
    }
  }
  for (const set of [survey.used, survey.unused]) {
    for (const range of set.ranges()) {
      if (range.start < RECORDS_OFFSET || range.end > end)
        add({
          message: `bytes ${range.start} to ${range.end} lie outside the container's records`,
          hostOffset: range.start,
        });
      else if (set === survey.used && range.end > size)
        add({
          message: `bytes ${Math.max(range.start, size)} to ${range.end} of the file are in use, but missing`,
          hostOffset: Math.max(range.start, size),
        });
    }
  }
  if (isDamaged) return 0;
  if (survey.freeBySizeExcess !== 0) add({ message: 'free space and its list by length do not agree' });
  if (unusedBytes !== listedBytes)
    add({ message: `the header counts ${listedBytes} free bytes, the space trees list ${unusedBytes}` });
  const everything = new RangeSet();
  for (const set of [survey.used, survey.unused])
    for (const range of set.ranges()) everything.add(range.start, range.end);
  return end - RECORDS_OFFSET - everything.totalBytes;
}

/** Versions, their parents and the list of children agree. */
function checkVersions({ container, versions, damaged }: Parts, findings: Sink): void {
  const { blockBytes, header, head, trees, pages } = container;
  const numbers = new Set(versions.map(({ number }) => number));
  const children = new Set<string>();
  if (!damaged.has('children')) {
    for (const { key } of records(trees.children)) {
      const [parent, child] = [numberInKey(key), numberInKey(key, NUMBER_KEY_BYTES)];
      children.add(`${parent} ${child}`);
    }
  }
  let withParent = 0;
  for (const { number, parent, sizeBytes, map } of versions) {
    if (number >= header.nextVersion)
      findings.add({ message: `version ${number} is above the header's counter`, version: number });
    if (parent !== null) {
      withParent++;
      if (!numbers.has(parent))
        findings.add({ message: `version ${number} has the parent ${parent}, which is not there`, version: number });
      else if (!damaged.has('children') && !children.has(`${parent} ${number}`)) {
        damaged.add('children');
        findings.add({ message: `version ${number} is not listed as a child of version ${parent}`, version: number });
      }
    }
    const end = damaged.has('map') ? 0 : new ExtentMap(pages, map).endBlock();
    if (end > Math.ceil(sizeBytes / blockBytes))
      findings.add({ message: `version ${number} maps blocks beyond its end`, version: number });
  }
  if (!damaged.has('children') && children.size !== withParent) {
    damaged.add('children');
    findings.add({ message: `${children.size} children of versions are listed, there are ${withParent}` });
  }
  if (head.version !== null && !numbers.has(head.version))
    findings.add({ message: `HEAD names version ${head.version}, which is not there` });
}

/** Every name names a version, and is listed with it. */
function checkNames({ container, versions, damaged }: Parts, findings: Sink): void {
  const { trees } = container;
  const numbers = new Set(versions.map(({ number }) => number));
  const listed = new Map<string, number>();
  let marks = 0;
  if (!damaged.has('marks')) {
    for (const { key } of records(trees.marks)) {
      listed.set(key.slice(NUMBER_KEY_BYTES), numberInKey(key));
      marks++;
    }
  }
  let names = 0;
  for (const { key, value } of records(trees.refs)) {
    names++;
    const ref = orFinding(
      () => decodeRef(keyName(key), value),
      (finding) => {
        damaged.add('refs');
        findings.add(finding);
      },
    );
    if (ref === undefined) continue;
    if (!numbers.has(ref.version)) {
      damaged.add('refs');
      findings.add({ message: `${ref.kind} '${ref.name}' names version ${ref.version}, which is not there` });
    } else if (!damaged.has('marks') && listed.get(Buffer.from(ref.name, 'utf8').toString('latin1')) !== ref.version) {
      damaged.add('marks');
      findings.add({ message: `${ref.kind} '${ref.name}' is not listed with version ${ref.version}` });
    }
  }
  if (!damaged.has('marks') && marks !== names) {
    damaged.add('marks');
    findings.add({ message: `${marks} names are listed with versions, there are ${names}` });
  }
}

function orFinding<T>(action: () => T, add: (finding: CheckFinding) => void): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!isDamage(error)) throw error;
    add({ message: error.message });
    return undefined;
  }
}
