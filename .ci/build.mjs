/**
 * Builds dist/: the command-line tool (dist/cli/main.cjs and its lazily loaded parts), the library (dist/index.js), the
 * threads of both (worker.cjs), and the library's types (dist/types).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build, transform } from 'esbuild';

const root = dirname(import.meta.dirname);
const src = join(root, 'src');
const out = join(root, 'dist');
const target = 'node20.15';

/** Shipped as they are: they hold native code, and are loaded at first use. */
const external = ['@toondepauw/node-zstd', '@napi-rs/blake-hash', 'fs-native-extensions', 'koffi'];

/** In Node, the main entry of msgpackr first looks for native code; this one is plain JavaScript. */
const alias = { msgpackr: join(root, 'node_modules/msgpackr/index.js') };

/**
 * Commander starts other programs only for commands that are separate executables, which vsimg does not have.
 * Without node:child_process the tool starts 3 ms earlier.
 */
const commanderWithoutChildren = {
  name: 'commander-without-children',
  setup(plugin) {
    plugin.onResolve({ filter: /^(node:)?child_process$/ }, ({ importer }) =>
      /[\\/]commander[\\/]/.test(importer) ? { path: 'no-children', namespace: 'stub' } : undefined,
    );
    plugin.onLoad({ filter: /^no-children$/, namespace: 'stub' }, () => ({ contents: 'module.exports = {};' }));
  },
};

const common = {
  bundle: true,
  minify: true,
  platform: 'node',
  target,
  external,
  alias,
  format: 'esm',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
  absWorkingDir: root,
};

/** CommonJS starts 5 to 6 ms faster than ES modules, but esbuild splits only ES modules: split first, convert then. */
async function buildCli() {
  const split = await build({
    ...common,
    entryPoints: { main: join(src, 'cli/main.ts') },
    splitting: true,
    write: false,
    outdir: join(out, 'cli'),
    outExtension: { '.js': '.cjs' },
    chunkNames: '[name]-[hash]',
    plugins: [commanderWithoutChildren],
  });
  for (const { path, text } of split.outputFiles) {
    const { code } = await transform(text, {
      format: 'cjs',
      platform: 'node',
      target,
      minify: true,
      charset: 'utf8',
      legalComments: 'none',
      sourcefile: `${path}.mts`,
      supported: { 'dynamic-import': false },
      define: { 'import.meta.url': 'importMetaUrl' },
      logLevel: 'warning',
    });
    const head = code.includes('importMetaUrl')
      ? 'const importMetaUrl=require("node:url").pathToFileURL(__filename).href;'
      : '';
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, head + code);
  }
}

async function buildLibrary() {
  await build({ ...common, entryPoints: { index: join(src, 'index.ts') }, minify: false, outdir: out });
}

/** The threads' program, beside each bundle that starts them. */
async function buildWorker() {
  for (const outdir of [out, join(out, 'cli')]) {
    await build({
      ...common,
      entryPoints: { worker: join(src, 'log/worker.ts') },
      format: 'cjs',
      define: { 'import.meta.url': 'importMetaUrl' },
      banner: { js: 'const importMetaUrl=require("node:url").pathToFileURL(__filename).href;' },
      outdir,
      outExtension: { '.js': '.cjs' },
    });
  }
}

function writeTypes() {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const project = join(root, '.ci/tsconfig.types.json');
  return spawnSync(process.execPath, [tsc, '-p', project], { stdio: 'inherit' }).status ?? 1;
}

rmSync(out, { recursive: true, force: true });
await Promise.all([buildCli(), buildLibrary(), buildWorker()]);
process.exitCode = writeTypes();
