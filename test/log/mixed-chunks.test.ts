import { expect, it } from 'vitest';
import { Container } from '../../src/image/container.ts';
import { readLog } from '../../src/image/view.ts';
import { writeBytes } from '../../src/image/write.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { SeededRandom } from '../support/random.ts';

const CHUNK = 65_536;

it('reads raw chunks that touch in the file but not in the log, with a compressed one between them', async () => {
  const container = Container.create(new MemoryStorage(), {
    sizeBytes: 3 * CHUNK,
    compression: { codec: 'zstd', level: 1 },
  });
  const random = new SeededRandom(1);
  const content = new Uint8Array(3 * CHUNK);
  content.set(random.bytes(CHUNK));
  content.fill(7, CHUNK, 2 * CHUNK);
  content.set(random.bytes(CHUNK), 2 * CHUNK);
  await writeBytes(container, 0, content);
  await container.publish();

  // As gc may leave them: the outer chunks side by side, the middle one behind them.
  container.begin();
  const segment = container.tables.find(0);
  const chunks = container.tables.table(segment).chunks.map((chunk) => {
    if (chunk === undefined) throw new Error('chunk is missing');
    return { chunk, stored: container.reader.storedBytes(chunk) };
  });
  expect(chunks.map(({ chunk }) => chunk.codec)).toEqual([0, 1, 0]);
  const base = container.space.end + 1000;
  const places = [base, base + 2 * CHUNK, base + CHUNK, base + 3 * CHUNK];
  container.log.rewrite(segment, chunks, () => places.shift() as number);
  const read = new Uint8Array(content.length);
  readLog(container, 0, read, 0);
  expect(Buffer.compare(read, content)).toBe(0);
});
