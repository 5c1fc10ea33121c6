/**
 * Builds dist/: the command-line tool (dist/cli/), the library (dist/index.js), the threads of both (worker.cjs), and the
 * library's types (dist/types).
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';

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

/** In CommonJS there is a require already, and node:module takes half a millisecond to load. */
const requireAtHand = {
  name: 'require-at-hand',
  setup(plugin) {
    plugin.onResolve({ filter: /^node:module$/ }, () => ({ path: 'require-at-hand', namespace: 'stub' }));
    plugin.onLoad({ filter: /^require-at-hand$/, namespace: 'stub' }, () => ({
      contents: 'export const createRequire = () => require;',
    }));
  },
};

/**
 * For the default export of a builtin, esbuild copies all that the builtin has, in each file that imports it: 0.1 ms and 50 KiB
 * a file for node:fs, enough to make the collector run before a short command ends.
 */
const builtinAsItIs = {
  name: 'builtin-as-it-is',
  setup(plugin) {
    plugin.onResolve({ filter: /^node:fs$/ }, ({ importer, namespace }) =>
      namespace === 'file' && /^import fs from 'node:fs';$/m.test(readFileSync(importer, 'utf8'))
        ? { path: 'node:fs', namespace: 'default-export' }
        : undefined,
    );
    plugin.onLoad({ filter: /.*/, namespace: 'default-export' }, ({ path }) => ({
      contents: `export default require(${JSON.stringify(path)});`,
    }));
  },
};

/** Packages that few runs need, and that share nothing with the rest: files of their own, which make the program shorter. */
const SELDOM_NEEDED = ['chalk', 'cli-progress', 'commander'];

const packagesApart = {
  name: 'packages-apart',
  setup(plugin) {
    plugin.onResolve({ filter: new RegExp(`^(${SELDOM_NEEDED.join('|')})$`) }, ({ path }) => ({
      path: `./${path}.cjs`,
      external: true,
    }));
  },
};

/** Only what writes needs msgpackr, and synchronous code does: it is run when the first Packr is made. */
const msgpackrWhenUsed = {
  name: 'msgpackr-when-used',
  setup(plugin) {
    plugin.onResolve({ filter: /^msgpackr$/ }, ({ namespace }) =>
      namespace === 'file' ? { path: 'msgpackr', namespace: 'when-used' } : { path: alias.msgpackr },
    );
    plugin.onLoad({ filter: /^msgpackr$/, namespace: 'when-used' }, () => ({
      contents: 'export function Packr(options) { return new (require("msgpackr").Packr)(options); }',
      resolveDir: root,
    }));
  },
};

/** What main.ts loads when more than the version is asked for: see src/cli/bundled-run.ts. */
const programApart = {
  name: 'program-apart',
  setup(plugin) {
    plugin.onResolve({ filter: /^\.\/run\.ts$/ }, () => ({ path: join(src, 'cli/bundled-run.ts') }));
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

/**
 * The program as two files, both CommonJS, which starts 5 to 6 ms faster than ES modules: what `vsimg --version` needs, and
 * all else. The second is one function expression, so that it can be compiled as one script and its code kept.
 */
async function buildCli() {
  const cli = { ...common, format: 'cjs', charset: 'ascii', outdir: join(out, 'cli'), outExtension: { '.js': '.cjs' } };
  const { outputFiles } = await build({
    ...cli,
    entryPoints: { program: join(src, 'cli/run.ts') },
    define: { 'import.meta.url': 'undefined' },
    // A script that is compiled from kept code can not import: what it loads later it requires.
    supported: { 'dynamic-import': false },
    alias: {},
    plugins: [packagesApart, msgpackrWhenUsed, requireAtHand, builtinAsItIs],
    write: false,
  });
  await build({ ...cli, entryPoints: SELDOM_NEEDED, plugins: [commanderWithoutChildren] });
  const program = `(function(exports,require,module,__filename,__dirname){${outputFiles[0].text.trimEnd()}\n})\n`;
  const programFile = `program-${createHash('sha256').update(program).digest('hex').slice(0, 16)}.cjs`;
  await build({
    ...cli,
    entryPoints: { main: join(src, 'cli/main.ts') },
    define: { PROGRAM_FILE: JSON.stringify(programFile) },
    plugins: [programApart, builtinAsItIs],
  });
  writeFileSync(join(out, 'cli', programFile), program);
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
      define: { 'import.meta.url': 'undefined' },
      plugins: [requireAtHand, builtinAsItIs],
      outdir,
      outExtension: { '.js': '.cjs' },
    });
  }
}

/** The schemas of JSON documents, each with those it refers to within it, so that one file is enough to validate with. */
function writeSchemas() {
  const from = join(src, 'schemas');
  const to = join(out, 'schemas');
  const read = (name) => JSON.parse(readFileSync(join(from, `${name}.schema.json`), 'utf8'));
  const namesIn = (schema) =>
    [...JSON.stringify(schema).matchAll(/"\$ref":"vsimg:([a-z-]+)"/g)].map(([, name]) => name);
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(from)) {
    const schema = read(file.replace('.schema.json', ''));
    const needed = new Set(namesIn(schema));
    for (const name of needed) for (const further of namesIn(read(name))) needed.add(further);
    const embedded = [...needed].map((name) => [name, read(name)]);
    if (embedded.length > 0) schema.$defs = { ...schema.$defs, ...Object.fromEntries(embedded) };
    writeFileSync(join(to, file), `${JSON.stringify(schema, null, 2)}\n`);
  }
}

function writeTypes() {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const project = join(root, '.ci/tsconfig.types.json');
  return spawnSync(process.execPath, [tsc, '-p', project], { stdio: 'inherit' }).status ?? 1;
}

rmSync(out, { recursive: true, force: true });
await Promise.all([buildCli(), buildLibrary(), buildWorker()]);
writeSchemas();
process.exitCode = writeTypes();
