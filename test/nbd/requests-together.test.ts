import { expect, it } from 'vitest';
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
