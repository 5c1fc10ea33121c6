import { readFileSync } from 'node:fs';
import { kill } from 'node:process';
import { beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../support/cli.ts';
import { client, nbdShell, startServing } from '../support/serving.ts';
import { workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const SIZE_BYTES = 16 * MIB;

const place = workspace();
const { ok, path, directory } = place;
const inPlace = { cwd: directory };

let image = '';
let count = 0;

beforeEach(async () => {
  image = `${++count}.vsi`;
  await ok(['create', image, String(SIZE_BYTES), '-q']);
});

/** Commands for qemu-io, which says nothing of what it wrote or found as expected. */
async function qemuIo(uri: string, commands: readonly string[], options: readonly string[] = []): Promise<void> {
  const argv = ['-f', 'raw', ...options, ...commands.flatMap((command) => ['-c', command]), uri];
  const printed = await client('qemu-io', argv, inPlace);
  expect(printed).not.toMatch(/fail|error|invalid/i);
}

async function contentOf(name: string): Promise<Buffer> {
  await ok(['read', name, '-o', `${name}.raw`, '-q']);
  return readFileSync(path(`${name}.raw`));
}

describe('qemu-io', () => {
  it('finds what it wrote: patterns, discards and zeros, at and off the borders of blocks', async () => {
    const server = await startServing(place, [], { image });
    await qemuIo(server.uri(), [
      'write -q -P 0x11 0 1M',
      'write -q -P 0x22 65000 70000',
      'write -q -P 0x33 3M 512',
      'write -q -P 0x44 4194305 3',
      'write -q -P 0x55 8M 2M',
      'discard -q 8M 64k',
      'write -q -z 8519680 4096',
      'write -q -z -u 8720384 1000',
      'read -q -P 0x11 0 65000',
      'read -q -P 0x22 65000 70000',
      'read -q -P 0x11 135000 913576',
      'read -q -P 0 1M 2M',
      'read -q -P 0x33 3M 512',
      'read -q -P 0 3146240 512',
      'read -q -P 0x44 4194305 3',
      'read -q -P 0 8M 64k',
      'read -q -P 0x55 8454144 65536',
      'read -q -P 0 8519680 4096',
      'read -q -P 0x55 8523776 196608',
      'read -q -P 0 8720384 1000',
      'read -q -P 0x55 8721384 1764376',
      'flush',
    ]);
    await server.stop();
    const content = await contentOf(image);
    expect(content.subarray(65_000, 135_000).every((byte) => byte === 0x22)).toBe(true);
    expect(content.subarray(8 * MIB, 8 * MIB + 65_536).every((byte) => byte === 0)).toBe(true);
  });

  it('can rely on a flush and on FUA when the server is killed', async () => {
    const server = await startServing(place, [], { image, mayBeKilled: true });
    await qemuIo(server.uri(), ['write -q -P 0x61 0 128k', 'flush'], ['-t', 'writeback']);
    // A client that is killed says no farewell, and flushes nothing.
    const killed = await runProgram(
      'qemu-io',
      ['-f', 'raw', '-t', 'writeback', '-c', 'write -q -f -P 0x63 2M 4k', '-c', 'abort', server.uri()],
      inPlace,
    );
    expect(killed.signal).toBe('SIGABRT');
    kill(server.pid, 'SIGKILL');
    await server.ended;
    const content = await contentOf(image);
    expect(content.subarray(0, 131_072).every((byte) => byte === 0x61)).toBe(true);
    expect(content.subarray(2 * MIB, 2 * MIB + 4096).every((byte) => byte === 0x63)).toBe(true);
  });

  it('writes to what was committed without changing it', async () => {
    const first = await startServing(place, [], { image });
    await qemuIo(first.uri(), ['write -q -P 1 0 64k']);
    await first.stop();
    await ok(['commit', image, '-q', '-m', 'ones']);
    const second = await startServing(place, [], { image });
    await qemuIo(second.uri(), ['write -q -P 2 0 4k', 'discard -q 8k 4k', 'read -q -P 1 4k 4k', 'read -q -P 0 8k 4k']);
    await qemuIo(second.uri('1'), ['read -q -P 1 0 64k'], ['-r']);
  });
});

describe('fio', () => {
  it.each([
    ['blocks of the image', ['--bs=4k', '--iodepth=16', '--size=4M']],
    ['parts of blocks', ['--bs=512', '--iodepth=8', '--size=512k']],
    // What overlaps and is under way together may end in any order.
    [
      'pieces of many sizes',
      ['--bsrange=512-64k', '--bs_unaligned', '--serialize_overlap=1', '--fsync=16', '--size=2M'],
    ],
  ])('verifies its random writes of %s', async (_what, argv) => {
    const server = await startServing(place, [], { image });
    const base = ['--name=verify', '--ioengine=nbd', `--uri=${server.uri()}`, '--rw=randwrite', '--randseed=1'];
    const verify = ['--verify=crc32c', '--do_verify=1', '--verify_fatal=1'];
    await client('fio', [...base, ...verify, ...argv, '--output-format=json', '--output=fio.json'], inPlace);
    const { jobs } = JSON.parse(readFileSync(path('fio.json'), 'utf8'));
    expect(jobs[0]).toMatchObject({ error: 0, write: { short_ios: 0 } });
    // It reads back as much as it wrote.
    expect(jobs[0].write.io_bytes).toBeGreaterThan(0);
    expect(jobs[0].read.io_bytes).toBe(jobs[0].write.io_bytes);
  });
});

describe('a server that is killed in the middle of writes', () => {
  it('has all that was flushed, and of every later write the old or the new', async () => {
    const server = await startServing(place, [], { image, mayBeKilled: true });
    const blockCount = 512;
    const printed = await nbdShell(
      server.uri(),
      `
import os, random, signal
h.connect_uri(uri)
chance = random.Random(1)
def write(block, value):
    return h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([value] * 4096)), block * 4096)
for value in (1, 2):
    for cookie in [write(block, value) for block in range(${blockCount})]:
        while not h.aio_command_completed(cookie):
            h.poll(-1)
    h.flush()
print('flushed', flush=True)
waiting = [write(chance.randrange(${blockCount}), 3) for _ in range(3000)]
h.aio_flush()
while not h.aio_command_completed(waiting[1500]):
    h.poll(-1)
os.kill(${server.pid}, signal.SIGKILL)
`,
    );
    expect(printed).toBe('flushed\n');
    await server.ended;
    const content = await contentOf(image);
    for (let block = 0; block < blockCount; block++) {
      const bytes = content.subarray(block * 4096, (block + 1) * 4096);
      expect([2, 3]).toContain(bytes[0]);
      expect(bytes.every((byte) => byte === bytes[0])).toBe(true);
    }
    const again = await startServing(place, [], { image });
    await qemuIo(again.uri(), ['write -q -P 4 0 1M', 'flush', 'read -q -P 4 0 1M']);
  });
});
