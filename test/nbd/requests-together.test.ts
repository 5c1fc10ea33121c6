import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nbdShell, startServing } from '../support/serving.ts';
import { workspace } from '../support/workspace.ts';

const place = workspace();

/** Sends requests that are done once all of them are answered. */
const TOGETHER = `
import random
h.connect_uri(uri)
def together(*cookies):
    for cookie in cookies:
        while not h.aio_command_completed(cookie):
            h.poll(-1)
def write(data, offset):
    return h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), offset)
def fill_memory(seed):
    # Much to be put away before zeros can be.
    h.pwrite(random.Random(seed).randbytes(4 << 20), 8 << 20)
`;

it('requests for other bytes of one block leave each other alone', async () => {
  await place.ok(['create', 'a.vsi', '16M', '-q']);
  const server = await startServing(place);
  const printed = await nbdShell(
    server.uri(),
    `${TOGETHER}
for block in range(4):
    start = block * 4096
    h.pwrite(b'a' * 4096, start)
    fill_memory(block)
    together(h.aio_zero(512, start), write(b'b' * 512, start + 512),
             h.aio_trim(512, start + 1024), write(b'c' * 512, start + 1536))
    assert h.pread(4096, start) == bytes(512) + b'b' * 512 + bytes(512) + b'c' * 512 + b'a' * 2048, block
print('whole')
`,
  );
  expect(printed).toBe('whole\n');
});

it('zeros and a write into them end in one order or the other', async () => {
  await place.ok(['create', 'b.vsi', '16M', '-q']);
  const server = await startServing(place, [], { image: 'b.vsi' });
  const printed = await nbdShell(
    server.uri(),
    `${TOGETHER}
for block in range(4):
    start = block * 4096
    h.pwrite(b'a' * 12288, start)
    fill_memory(block)
    together(h.aio_zero(12288, start), write(b'b' * 512, start + 4096))
    found = h.pread(12288, start)
    assert found in (bytes(12288), bytes(4096) + b'b' * 512 + bytes(7680)), block
print('whole')
`,
  );
  expect(printed).toBe('whole\n');
});

/** Compresses, and no two blocks are the same. */
function numbers(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 16) bytes.write(String(at).padStart(16, '.'), at, 'latin1');
  return bytes;
}

/** Reads blocks all over the disk, 64 requests at a time; prints the offsets of those that fail, and ends at a wrong byte. */
const readTogether = (path: string): string => `
import random
path = ${JSON.stringify(path)}
h.connect_uri(uri)
bad = set()
rng = random.Random(5)
whole = open(path, 'rb').read()
for turn in range(20):
    offsets = [rng.randrange(len(whole) // 512) * 512 for _ in range(64)]
    waiting = {}
    for offset in offsets:
        buffer = nbd.Buffer(4096) if offset + 4096 <= len(whole) else nbd.Buffer(512)
        waiting[h.aio_pread(buffer, offset)] = (buffer, offset)
    while waiting:
        h.poll(-1)
        for cookie in list(waiting):
            buffer, offset = waiting[cookie]
            try:
                if not h.aio_command_completed(cookie):
                    continue
                data = bytes(buffer.to_bytearray())
                assert data == whole[offset:offset + len(data)], offset
            except nbd.Error as e:
                assert e.errnum == 5, e
                bad.add(offset)
            del waiting[cookie]
print(*sorted(bad))
`;

describe('many reads of compressed data at once', () => {
  it('each get what is theirs, from one process and from two', async () => {
    writeFileSync(place.path('disk.raw'), numbers(8 * 1024 * 1024));
    await place.ok(['import', 'disk.raw', 'c.vsi', '-q']);
    const server = await startServing(place, [], { image: 'c.vsi' });
    const both = ['1', ''].map((name) => nbdShell(server.uri(name), readTogether(place.path('disk.raw'))));
    expect(await Promise.all(both)).toEqual(['\n', '\n']);
  });

  it('fail where the data is damaged, and only there', async () => {
    writeFileSync(place.path('disk.raw'), numbers(8 * 1024 * 1024));
    await place.ok(['import', 'disk.raw', 'd.vsi', '-q']);
    const good = readFileSync(place.path('d.vsi'));
    const bad = Buffer.from(good);
    const at = Math.floor(bad.length / 2);
    bad[at] = (bad[at] ?? 0) ^ 1;
    writeFileSync(place.path('d.vsi'), bad);
    const server = await startServing(place, ['--read-only'], { image: 'd.vsi', stderr: /checksum/ });
    const failed = (await nbdShell(server.uri('1'), readTogether(place.path('disk.raw'))))
      .trim()
      .split(' ')
      .map(Number);
    expect(failed.length).toBeGreaterThan(2);
    // All in one chunk, or reaching into it.
    expect(Math.max(...failed) - Math.min(...failed)).toBeLessThan(64 * 1024 + 4096);
    await server.stop();
    writeFileSync(place.path('d.vsi'), good);
  });
});
