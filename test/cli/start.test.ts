import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

/** Preloaded into the program: at its end it tells on stderr what was loaded. */
const LISTING = `const Module = require('node:module');
  const before = new Set(process.moduleLoadList);
  const packages = new Set();
  const load = Module._load;
  Module._load = function (name, ...rest) {
    packages.add(name);
    return load.call(this, name, ...rest);
  };
  process.on('exit', () => {
    const builtins = process.moduleLoadList.filter((name) => !before.has(name)).map((name) => name.replace('NativeModule ', ''));
    require('node:fs').writeSync(2, JSON.stringify({ builtins, packages: [...packages] }));
  });`;

/** Each of these takes from a half to six milliseconds to load, of the eight that a short command has for everything. */
const EXPENSIVE_BUILTINS = [
  'child_process',
  'fs/promises',
  'internal/crypto/cipher',
  'internal/modules/esm/resolve',
  'net',
  'os',
  'perf_hooks',
  'readline',
  'tty',
  'url',
  'worker_threads',
  'zlib',
];
const EXPENSIVE_PACKAGES = [
  './chalk.cjs',
  './cli-progress.cjs',
  './commander.cjs',
  'fs-native-extensions',
  'koffi',
  'require-addon',
];

describe('a short command', () => {
  const { ok, run, path } = workspace();
  const env = { NODE_OPTIONS: `--require ${path('listing.cjs')}` };

  beforeAll(async () => {
    writeFileSync(path('listing.cjs'), LISTING);
    writeFileSync(path('one.raw'), noise(256 * 1024, 1));
    writeFileSync(path('text'), 'hello '.repeat(10_000));
    await ok(['import', 'one.raw', 'a.vsi', '-m', 'one', '-q']);
    await ok(['write', 'a.vsi', 'text', '-q']);
    await ok(['commit', 'a.vsi', '-m', 'two', '-q']);
  });

  const loadedBy = async (argv: readonly string[], stdin = ''): Promise<{ builtins: string[]; packages: string[] }> => {
    const { status, stderr } = await run(argv, { env, stdin });
    expect({ argv, status }).toEqual({ argv, status: 0 });
    return JSON.parse(stderr);
  };

  it.each([
    ['--version'],
    ['info', 'a.vsi'],
    ['info', 'a.vsi', '--json'],
    ['log', 'a.vsi', '-n', '10'],
    ['read', 'a.vsi@2', '--length', '4k'],
    ['read', 'a.vsi', '--offset', '100k', '--length', '4k'],
    ['diff', 'a.vsi', '1', '2'],
    ['write', 'a.vsi', '--offset', '8k', '--zero', '--length', '4k'],
    ['write', 'a.vsi', 'listing.cjs', '--offset', '16k'],
    ['commit', 'a.vsi', '-m', 'three', '--allow-empty'],
  ])('loads nothing that takes long: %s %s %s', async (...argv) => {
    const { builtins, packages } = await loadedBy(argv);
    expect(builtins.filter((name) => EXPENSIVE_BUILTINS.includes(name))).toEqual([]);
    expect(packages.filter((name) => EXPENSIVE_PACKAGES.includes(name))).toEqual([]);
  });

  it.each([[['info', 'a.vsi']], [['log', 'a.vsi', '-n', '10']]])('loads no native package: %j', async (argv) => {
    const { packages } = await loadedBy(argv);
    expect(packages.filter((name) => !name.startsWith('node:')).length).toBeLessThan(4);
    expect(packages.filter((name) => /\.node$|@/.test(name))).toEqual([]);
  });
});
