import { corrupt } from '../errors.ts';
import { checksum } from '../format/checksum.ts';
import {
  type ChunkTable,
  decodeChunkTable,
  decodeSegmentEntry,
  lostTable,
  type SegmentEntry,
} from '../format/chunk-table.ts';
import { MAX_TABLE_BYTES } from '../format/layout.ts';
import { numberInKey, numberKey } from '../format/record-page.ts';
import { floorRecord, type RecordTree } from '../map/records.ts';
import type { Storage } from '../storage/storage.ts';

export interface Segment {
  readonly firstLog: number;
  readonly entry: SegmentEntry;
}

export interface TableOptions {
  readonly blockBytes: number;
  /** Of memory, about. */
  readonly cachedTableBytes: number;
}

interface CachedTable {
  readonly checksum: number;
  readonly memoryBytes: number;
  readonly table: ChunkTable;
}

/** Objects, and views of the bytes of the table, which are several times as large as what they stand for. */
const CHUNK_MEMORY_BYTES = 400;
const RUN_MEMORY_BYTES = 48;
const ENCODED_RUN_BYTES = 4;

function memoryBytes({ chunks, runs, blockCount }: ChunkTable): number {
  const runBytes = Array.isArray(runs) ? RUN_MEMORY_BYTES : ENCODED_RUN_BYTES;
  return chunks.length * CHUNK_MEMORY_BYTES + runs.length * runBytes + blockCount * 4;
}

/** Finds the segment of a log block and its chunk table, verified. */
export class SegmentTables {
  private readonly storage: Storage;
  private readonly index: RecordTree;
  private readonly options: TableOptions;
  private readonly cache = new Map<number, CachedTable>();
  private cachedBytes = 0;

  constructor(storage: Storage, index: RecordTree, options: TableOptions) {
    this.storage = storage;
    this.index = index;
    this.options = options;
  }

  /** The segment that holds `log`. Errors: 'corrupt' when the log has no such block. */
  find(log: number): Segment {
    const record = floorRecord(this.index, numberKey(log));
    if (record !== undefined) {
      const firstLog = numberInKey(record.key);
      const entry = decodeSegmentEntry(record.value);
      if (log < firstLog + entry.blockCount) return { firstLog, entry };
    }
    throw corrupt(`log block ${log} is in no segment`);
  }

  table(segment: Segment): ChunkTable {
    const { entry, firstLog } = segment;
    if (entry.lengthBytes === 0) return lostTable(firstLog, entry.blockCount);
    const cached = this.cache.get(entry.place);
    if (cached !== undefined && cached.checksum === entry.checksum && cached.table.firstLog === firstLog) {
      this.cache.delete(entry.place);
      this.cache.set(entry.place, cached);
      return cached.table;
    }
    const table = this.read(segment);
    this.remember(entry, table);
    return table;
  }

  remember(entry: SegmentEntry, table: ChunkTable): void {
    this.forget(entry.place);
    const cached = { checksum: entry.checksum, memoryBytes: memoryBytes(table), table };
    this.cache.set(entry.place, cached);
    this.cachedBytes += cached.memoryBytes;
    for (const place of this.cache.keys()) {
      if (this.cachedBytes <= this.options.cachedTableBytes) break;
      if (place !== entry.place) this.forget(place);
    }
  }

  private forget(place: number): void {
    this.cachedBytes -= this.cache.get(place)?.memoryBytes ?? 0;
    this.cache.delete(place);
  }

  private read({ entry, firstLog }: Segment): ChunkTable {
    const where = `chunk table at ${entry.place}`;
    if (entry.lengthBytes > MAX_TABLE_BYTES) throw corrupt(`${where}: has ${entry.lengthBytes} bytes`, entry.place);
    const bytes = new Uint8Array(entry.lengthBytes);
    if (this.storage.read(bytes, entry.place) < bytes.length)
      throw corrupt(`${where}: lies beyond the end of the file`, entry.place);
    if (checksum(bytes) !== entry.checksum) throw corrupt(`${where}: has a wrong checksum`, entry.place);
    const table = decodeChunkTable(bytes, this.options.blockBytes, where);
    if (table.firstLog !== firstLog || table.blockCount !== entry.blockCount)
      throw corrupt(`${where}: belongs to another segment`, entry.place);
    return table;
  }
}
