import { describe, expect, it } from 'vitest';
import { VsimgError } from '../../src/errors.ts';
import type { Compression } from '../../src/format/header.ts';
import { RECORDS_OFFSET } from '../../src/format/layout.ts';
import { LogReader } from '../../src/log/reader.ts';
import { SegmentTables } from '../../src/log/tables.ts';
import { LogWriter } from '../../src/log/writer.ts';
import { recordLayout } from '../../src/map/layouts.ts';
import { PageStore } from '../../src/map/pages.ts';
import { PersistentTree } from '../../src/map/tree.ts';
import { Space } from '../../src/space/space.ts';
import { MemoryDisk, MemoryStorage } from '../../src/storage/memory.ts';
import { expectBytes, noise, text } from '../support/image.ts';
import { CountingStorage } from '../support/storages.ts';

/** A log alone: index, space and storage without a container. */
function newLog(options: { readonly blockBytes: number; readonly compression: Compression }) {
  const disk = new MemoryDisk();
  const storage = new CountingStorage(new MemoryStorage(disk));
  const pages = new PageStore(storage);
  const index = new PersistentTree(recordLayout('log index'), pages, null);
  const space = new Space(pages, {
    free: null,
    bySize: null,
    pending: null,
    reserve: [],
    end: RECORDS_OFFSET,
    freeBytes: 0,
    pendingBytes: 0,
  });
  const tables = new SegmentTables(storage, index, {
    blockBytes: options.blockBytes,
    cachedTableBytes: 1024 * 1024,
  });
  const writer = new LogWriter(
    { storage, index, tables, space, ...options },
    { next: 0, youngMark: 0, dataBytes: 0, deadBlocks: 0 },
  );
  /** A reader without anything in its caches. */
  const cold = (): LogReader =>
    new LogReader(
      storage,
      new SegmentTables(storage, index, {
        blockBytes: options.blockBytes,
        cachedTableBytes: 1024 * 1024,
      }),
      { blockBytes: options.blockBytes, decodedBytes: 4 * 1024 * 1024 },
    );
  const append = async (bytes: Uint8Array): Promise<void> => {
    for (let offset = 0; offset < bytes.length; ) {
      const length = Math.min(bytes.length - offset, (await writer.room()) * options.blockBytes);
      writer.append(offset / options.blockBytes, bytes.subarray(offset, offset + length));
      offset += length;
    }
  };
  return { disk, storage, writer, space, tables, cold, append };
}

function readBlocks(reader: LogReader, log: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  reader.read(log, bytes);
  return bytes;
}

const KINDS: readonly [string, number, Compression][] = [
  ['raw, 512', 512, { codec: 'none' }],
  ['raw, 4096', 4096, { codec: 'none' }],
  ['raw, 65536', 65_536, { codec: 'none' }],
  ['zstd, 512', 512, { codec: 'zstd', level: 1 }],
  ['zstd, 65536', 65_536, { codec: 'zstd', level: 1 }],
];

describe('log', () => {
  it.each(KINDS)('gives back every block, over several segments (%s)', async (_name, blockBytes, compression) => {
    const { writer, append, cold } = newLog({ blockBytes, compression });
    const bytes = Uint8Array.from([...text(5 * 2 ** 20, 1), ...noise(blockBytes * 3, 2)]);
    await append(bytes);
    await writer.flush();
    const reader = cold();
    expectBytes(readBlocks(reader, 0, bytes.length), bytes);
    for (const block of [0, 1, 7, bytes.length / blockBytes - 1])
      expectBytes(readBlocks(cold(), block, blockBytes), bytes.subarray(block * blockBytes, (block + 1) * blockBytes));
    expect(() => readBlocks(reader, bytes.length / blockBytes, blockBytes)).toThrow(
      expect.objectContaining({ code: 'corrupt' }),
    );
  });

  it('reads one raw block with one read of that block, once its table is known', async () => {
    const { writer, append, cold, storage } = newLog({ blockBytes: 4096, compression: { codec: 'none' } });
    await append(noise(2 ** 20, 1));
    await writer.flush();
    const reader = cold();
    readBlocks(reader, 0, 4096);
    expect(storage.during(() => readBlocks(reader, 77, 4096))).toMatchObject({ reads: 1, readBytes: 4096 });
    expect(storage.during(() => readBlocks(reader, 0, 2 ** 20))).toMatchObject({ reads: 1, readBytes: 2 ** 20 });
  });

  it.each(['none', 'zstd'] as const)(
    'gives back the right bytes or names the place, whichever byte of it is changed (%s)',
    async (codec) => {
      const { writer, append, cold, disk, space } = newLog({
        blockBytes: 512,
        compression: codec === 'none' ? { codec } : { codec, level: 1 },
      });
      const bytes = text(3 * 512, 1);
      await append(bytes);
      await writer.flush();
      expectBytes(readBlocks(cold(), 0, bytes.length), bytes);
      const stored = disk.bytes();
      for (let place = RECORDS_OFFSET; place < space.end; place++) {
        for (const bit of [1, 0x80]) {
          disk.write(Uint8Array.of((stored[place] as number) ^ bit), place);
          const error = ((): unknown => {
            try {
              return readBlocks(cold(), 0, bytes.length);
            } catch (reason) {
              return reason;
            }
          })();
          expect(error).toBeInstanceOf(VsimgError);
          const { code, hostOffset = 0, message } = error as VsimgError;
          expect(code).toBe('corrupt');
          // The chunk, block or table that holds the byte: they are at most a few hundred bytes or a block long.
          expect(hostOffset).toBeLessThanOrEqual(place);
          expect(place - hostOffset).toBeLessThan(1536);
          expect(message).toContain(String(hostOffset));
        }
        disk.write(stored.subarray(place, place + 1), place);
      }
    },
  );

  it('that was cut off is corrupt', async () => {
    const { writer, append, cold, disk } = newLog({ blockBytes: 512, compression: { codec: 'none' } });
    await append(noise(2048, 1));
    await writer.flush();
    for (let size = disk.sizeBytes - 1; size > RECORDS_OFFSET; size -= 61) {
      disk.truncate(size);
      expect(() => readBlocks(cold(), 0, 2048)).toThrow(expect.objectContaining({ code: 'corrupt' }));
    }
  });

  it('leaves out blocks that died before they were stored, and knows that they are gone', async () => {
    const { writer, append, cold } = newLog({ blockBytes: 4096, compression: { codec: 'none' } });
    const bytes = noise(20 * 4096, 1);
    await append(bytes);
    writer.noteDead(3, 2);
    writer.noteDead(19, 1);
    await writer.flush();
    expect(writer.state.dataBytes).toBe(17 * 4096);
    const reader = cold();
    expectBytes(readBlocks(reader, 0, 3 * 4096), bytes.subarray(0, 3 * 4096));
    expectBytes(readBlocks(reader, 5, 14 * 4096), bytes.subarray(5 * 4096, 19 * 4096));
    for (const dead of [3, 4, 19]) expect(() => readBlocks(reader, dead, 4096)).toThrow(/given up by gc/);
  });

  it('drops segments of which every block has died, and counts what is stored', async () => {
    const { writer, append } = newLog({ blockBytes: 4096, compression: { codec: 'none' } });
    await append(noise(10 * 4096, 1));
    await writer.flush();
    expect(writer.state).toMatchObject({ next: 10, dataBytes: 40_960, deadBlocks: 0 });
    writer.noteDead(0, 4);
    await writer.flush();
    expect(writer.state).toMatchObject({ dataBytes: 40_960, deadBlocks: 4 });
    writer.noteDead(4, 6);
    await writer.flush();
    expect(writer.state).toMatchObject({ dataBytes: 0, deadBlocks: 0 });
  });

  it('does not count what dies of a version', async () => {
    const { writer, append } = newLog({ blockBytes: 4096, compression: { codec: 'none' } });
    await append(noise(10 * 4096, 1));
    await writer.flush();
    writer.growUp();
    writer.noteDead(0, 10);
    await writer.flush();
    expect(writer.state).toMatchObject({ youngMark: 10, dataBytes: 40_960, deadBlocks: 0 });
  });

  it('that died before anything was stored takes no space', async () => {
    const { writer, append, space } = newLog({ blockBytes: 4096, compression: { codec: 'none' } });
    await append(noise(10 * 4096, 1));
    writer.noteDead(0, 10);
    await writer.flush();
    expect(space.end).toBe(RECORDS_OFFSET);
    expect(writer.state).toMatchObject({ next: 10, dataBytes: 0, deadBlocks: 0 });
  });
});
