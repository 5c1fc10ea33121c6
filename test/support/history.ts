import type { VersionRecord } from '../../src/format/version-record.ts';
import { recordLayout } from '../../src/map/layouts.ts';
import type { RecordTree } from '../../src/map/records.ts';
import { PersistentTree } from '../../src/map/tree.ts';
import { Refs } from '../../src/versions/refs.ts';
import { VersionTable, type VersionTrees } from '../../src/versions/version-table.ts';
import { PageFile } from './page-file.ts';

/** A version table and its names alone, in memory. */
export function newHistory(): { readonly versions: VersionTable; readonly refs: Refs; readonly trees: VersionTrees } {
  const file = new PageFile();
  const tree = (name: string): RecordTree => new PersistentTree(recordLayout(name), file.store(), null);
  const trees: VersionTrees = {
    versions: tree('versions'),
    children: tree('children'),
    refs: tree('refs'),
    marks: tree('marks'),
    log: tree('log'),
  };
  return { versions: new VersionTable(trees, { next: 1, count: 0 }), refs: new Refs(trees), trees };
}

/** A record with an id that begins with these hex digits. */
export function record(parent: number | null, id: string): VersionRecord {
  return {
    id: Uint8Array.from(Buffer.from(id.padEnd(32, '0'), 'hex')),
    parent,
    sizeBytes: 0,
    timeSeconds: 0,
    message: '',
    map: null,
  };
}
