import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mountFileSystem } from '../support/file-system.ts';
import { nbdShell, startServing } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const place = workspace();
const mounted = mountFileSystem(place.path('disk'), 24 * MIB);
if (typeof mounted === 'string') console.info(`skipped: ${mounted}`);

describe.skipIf(typeof mounted === 'string')('a server whose file system was full', () => {
  const directory = typeof mounted === 'string' ? '' : mounted.directory;
  const ballast = join(directory, 'ballast');

  function fill(): void {
    const { bavail, bsize } = statfsSync(directory);
    writeFileSync(ballast, Buffer.alloc(bavail * bsize - MIB));
  }

  writeFileSync(place.path('big.raw'), noise(12 * MIB, 1));

  it('takes changes again when there is room, and has what was flushed', async () => {
    const image = join(directory, 'a.vsi');
    await place.ok(['create', image, '16M', '--compression', 'none', '-q']);
    const server = await startServing(place, [], { image, stderr: /no space left/ });
    const first = `
h.connect_uri(uri)
h.pwrite(b'a' * 1048576, 0)
h.flush()
`;
    await nbdShell(server.uri(), first);
    fill();
    const second = `
import random
h.connect_uri(uri)
for at in range(8):
    h.pwrite(random.Random(at).randbytes(1 << 20), at << 20)
for attempt in range(4):
    try:
        h.flush()
        print('no error')
    except nbd.Error as e:
        print(e.errno)
`;
    expect(await nbdShell(server.uri(), second)).toBe('ENOSPC\n'.repeat(4));
    // Nobody has it open now; still there is no room, for no command either.
    expect(await place.fails(79, ['write', image, place.path('big.raw')])).toMatch(/no space left/);
    rmSync(ballast);
    const third = `
h.connect_uri(uri)
assert h.pread(1048576, 0) == b'a' * 1048576
h.pwrite(b'c' * 1048576, 2097152)
h.flush()
print('whole')
`;
    expect(await nbdShell(server.uri(), third)).toBe('whole\n');
    await place.ok(['commit', image, '-m', 'there is room', '-q']);
    const { status, stderr } = await server.stop();
    // What failed, and once that nothing goes on after it.
    expect({ status, told: stderr.split('\n').length - 1 }).toEqual({ status: 0, told: 2 });
  });
});
