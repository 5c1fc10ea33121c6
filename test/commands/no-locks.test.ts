import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { openImageFile } from '../../src/image/file.ts';
import { EPOCH, noise, workspace } from '../support/workspace.ts';

const KIB = 1024;

/** Preloaded into the program: what it gets for the package that locks. */
const STUBS = {
  'the file system has no locks': `Object.assign(new Error('ENOLCK: no locks'), { code: 'ENOLCK' })`,
  'the native module is of another system': undefined,
} as const;

function stubThat(answer: string): string {
  return `const Module = require('node:module');
    const load = Module._load;
    Module._load = function (name, ...rest) {
      if (name.startsWith('fs-native-extensions')) { ${answer}; }
      return load.call(this, name, ...rest);
    };
    const { dlopen } = process;
    process.dlopen = (module, path, ...rest) => {
      if (!path.includes('fs-native-extensions')) return dlopen.call(process, module, path, ...rest);
      module.exports = (() => { ${answer}; })();
    };`;
}

const ground = workspace();

describe.each(Object.entries(STUBS))('where %s', (name, thrown) => {
  const { ok, fails, run, json, path } = workspace();
  const reason = thrown === undefined ? 'fs-native-extensions did not load' : 'the system says ENOLCK';
  const refused = new RegExp(
    `^vsimg: cannot lock 'a.vsi': file locks do not work here \\([^\\n]*${reason}\\); [^\\n]*VSIMG_LOCKING=off\\n$`,
  );
  const stub = `stub-${name.length}.cjs`;
  const env = { NODE_OPTIONS: `--require ${path(stub)}` };
  const off = { ...env, VSIMG_LOCKING: 'off' };

  beforeAll(async () => {
    const answer =
      thrown === undefined
        ? "throw new Error('wrong ELF class')"
        : `return { tryLock() { throw ${thrown}; }, unlock() {} }`;
    writeFileSync(path(stub), stubThat(answer));
    writeFileSync(path('one.raw'), noise(64 * KIB, 1));
    await ok(['import', 'one.raw', 'a.vsi', '--tag', 'v1', '-q']);
  });

  it.each([
    ['write', 'a.vsi', 'one.raw'],
    ['commit', 'a.vsi', '-m', 'x', '--wait', '1'],
    ['tag', 'a.vsi', 'v2'],
    ['gc', 'a.vsi'],
    ['create', 'a.vsi', '1M', '--force'],
    ['import', 'one.raw', 'a.vsi'],
  ])('a writer is refused and told the way out: %s', async (...argv) => {
    expect(await fails(69, argv, { env })).toMatch(refused);
  });

  it.each([
    ['export', 'a.vsi', '-'],
    ['read', 'a.vsi'],
    ['diff', 'a.vsi'],
    ['gc', 'a.vsi', '--dry-run'],
  ])('so is a reader that needs the state to stay: %s', async (...argv) => {
    expect(await fails(69, argv, { env })).toMatch(refused);
  });

  it('so is check, with a status of its own', async () => {
    expect(await fails(1, ['check', 'a.vsi'], { env })).toMatch(refused);
  });

  it('short readers work without locks, and so do long listings', async () => {
    expect(await json(['info', 'a.vsi'], { env })).toMatchObject({ 'virtual-size': 64 * KIB });
    expect(await json(['log', 'a.vsi', '-n', '10'], { env })).toMatchObject({ versions: [{ version: 1 }] });
    expect(await json(['tag', 'a.vsi'], { env })).toMatchObject({ tags: [{ name: 'v1', version: 1 }] });
    expect((await run(['read', 'a.vsi', '--length', '8k'], { env })).stdoutBytes).toEqual(
      noise(64 * KIB, 1).subarray(0, 8 * KIB),
    );
    const writer = await openImageFile(path('a.vsi'), { mode: 'write' });
    for (let number = 2; number <= 110; number++)
      await writer.commit({ message: 'x', timeSeconds: EPOCH, allowEmpty: true });
    writer.close();
    expect((await json(['log', 'a.vsi'], { env })).versions).toHaveLength(110);
    expect((await json(['info', 'a.vsi', '--all'], { env })).snapshots).toHaveLength(110);
  });

  it('VSIMG_LOCKING=off makes everything work', async () => {
    await ok(['create', 'b.vsi', '64k', '-q'], { env: off });
    await ok(['import', 'one.raw', 'b.vsi', '-q'], { env: off });
    await ok(['write', 'b.vsi', '--offset', '4k', '-q'], { env: off, stdin: 'hello' });
    await ok(['commit', 'b.vsi', '-m', 'x', '-q'], { env: off });
    await ok(['export', 'b.vsi@1', 'out.raw', '-q'], { env: off });
    expect(Buffer.compare(readFileSync(path('out.raw')), noise(64 * KIB, 1))).toBe(0);
    await ok(['delete', 'b.vsi', '1', '-q'], { env: off });
    await ok(['gc', 'b.vsi', '-q'], { env: off });
    await ok(['check', 'b.vsi', '--data', '-q'], { env: off });
    await ok(['create', 'b.vsi', '64k', '--force', '-q'], { env: off });
  });

  it('a new image is made without the override', async () => {
    await ok(['import', 'one.raw', 'c.vsi', '-q'], { env });
    await ok(['check', 'c.vsi', '--data', '-q']);
  });
});

it('short readers do not load what locks, which would cost more than they do', async () => {
  const { ok, run, path } = ground;
  writeFileSync(path('stub.cjs'), stubThat('process.exit(99)'));
  const env = { NODE_OPTIONS: `--require ${path('stub.cjs')}` };
  await ok(['create', 'a.vsi', '1M', '-q']);
  await ok(['commit', 'a.vsi', '-m', 'x', '--allow-empty', '--tag', 'v1', '-q']);
  for (const argv of [
    ['info'],
    ['info', '--all'],
    ['log'],
    ['log', '-n', '10'],
    ['tag'],
    ['branch'],
    ['read', '--length', '1M'],
  ])
    await ok([argv[0] as string, 'a.vsi', ...argv.slice(1)], { env });
  expect((await run(['export', 'a.vsi', '-'], { env })).status).toBe(99);
});

it('the library finds what locks also where __filename is not that of a file', async () => {
  const { ok, path } = ground;
  await ok(['create', 'b.vsi', '1M', '-q']);
  const library = pathToFileURL(join(import.meta.dirname, '../../dist/index.js'));
  const code = `import('${library}')
    .then(({ openImageFile }) => openImageFile('b.vsi', { mode: 'write' }))
    .then((image) => { console.log('open'); image.close(); })`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', code], { cwd: path('.'), encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: 'open\n', stderr: '' });
});
