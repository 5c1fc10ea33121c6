import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RunResult } from '../support/cli.ts';
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
    expect({ status, told: stderr.split('\n').length - 1 }).toEqual({ status: 0, told: 3 });
  });

  /** What a command does with nbdsh against a server of its own: `h` is connected to the export. */
  function served(argv: readonly string[], script: string): Promise<RunResult> {
    return place.run(['serve', ...argv, '--', `PATH=/usr/bin:$PATH nbdsh -u "$VSIMG_URI" -c '${script}'`]);
  }

  it('does not end well when a client left without knowing that what it wrote is lost', async () => {
    const image = join(directory, 'b.vsi');
    await place.ok(['create', image, '16M', '--compression', 'none', '-q']);
    fill();
    const { status, stdout, stderr } = await served(
      [image],
      'import random; h.pwrite(random.Random(1).randbytes(12 << 20), 0); print("written")',
    );
    expect({ status, stdout }).toEqual({ status: 79, stdout: 'written\n' });
    expect(stderr).toMatch(
      /^vsimg: what the client .* did not flush is lost: cannot write .*: no space left [^\n]*\n$/,
    );
    rmSync(ballast);
    await place.ok(['check', image, '--data', '-q']);
    rmSync(image);
  });

  it('does not end well either when all that the client was told of is a read that failed', async () => {
    const image = join(directory, 'd.vsi');
    await place.ok(['create', image, '16M', '--compression', 'none', '-q']);
    await place.ok(['write', image, '--pattern', '0x5a', '--offset', '15M', '--length', '4k', '-q']);
    const bytes = readFileSync(image);
    bytes[bytes.indexOf(Buffer.alloc(4096, 0x5a)) + 9] = 1;
    writeFileSync(image, bytes);
    fill();
    const { status, stdout } = await served(
      [image],
      `
import random
try:
    h.pread(4096, 15 << 20)
except nbd.Error as e:
    print(e.errno)
h.pwrite(random.Random(1).randbytes(12 << 20), 0)
`,
    );
    expect({ status, stdout }).toEqual({ status: 79, stdout: 'EIO\n' });
    rmSync(ballast);
    rmSync(image);
  });

  it('makes no version of a scratch disk that can not be stored, or of which a write failed, and says so', async () => {
    const image = join(directory, 'c.vsi');
    await place.ok(['create', image, '16M', '--compression', 'none', '-q']);
    await place.ok(['commit', image, '-m', 'empty', '--allow-empty', '-q']);
    const scratch = [image, '--commit-on-disconnect', '-m', 'tried', '-x', '1+scratch'];
    const write = 'import random; h.pwrite(random.Random(1).randbytes(12 << 20), 0); print("written")';
    const tooMuch = await served(scratch, write);
    expect(tooMuch).toMatchObject({ status: 79, stdout: 'written\n' });
    expect(tooMuch.stderr).toMatch(/^vsimg: no version was made of '1\+scratch': .*no space left [^\n]*\n$/);
    fill();
    const failing = await served(
      scratch,
      `
try:
    h.pwrite(bytes(4096 * [1]), 0)
    ${write.replaceAll('; ', '\n    ')}
except nbd.Error as e:
    print(e.errno)
`,
    );
    expect(failing).toMatchObject({ status: 78, stdout: 'ENOSPC\n' });
    expect(failing.stderr).toMatch(/no version was made of '1\+scratch': a write of its client failed/);
    rmSync(ballast);
    expect((await place.json(['log', image])).versions).toHaveLength(1);
    await place.ok(['check', image, '--data', '-q']);
  });
});
