import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync, Visitor } from 'oxc-parser';
import { describe, expect, it } from 'vitest';

/** What each layer may import besides itself and errors.ts: whole layers, or single files where a path is given. */
const API = [
  'image/api.ts',
  'image/bench.ts',
  'image/compare.ts',
  'image/disk.ts',
  'image/file.ts',
  'image/image.ts',
  'image/measure.ts',
  'image/raw-source.ts',
];
const TRANSFER = ['storage/transfer.ts', 'storage/source.ts', 'storage/target.ts', 'storage/seed-target.ts'];
const FRONT_END = [...API, ...TRANSFER];
const MAY_IMPORT: Record<string, readonly string[]> = {
  'errors.ts': [],
  'index.ts': FRONT_END,
  storage: [],
  format: [],
  map: ['format', 'storage'],
  space: ['map', 'format', 'storage'],
  log: ['map', 'space', 'format', 'storage'],
  versions: ['map', 'format', 'storage'],
  image: ['versions', 'log', 'space', 'map', 'format', 'storage'],
  // turns.ts: no client keeps the others waiting. zero.ts: zeros are not sent. system-error.ts: sockets fail as files do.
  nbd: ['storage/turns.ts', 'storage/zero.ts', 'storage/system-error.ts', ...FRONT_END],
  // system-error.ts: sockets fail as files do.
  control: ['storage/system-error.ts'],
  interop: FRONT_END,
  oci: FRONT_END,
  // turns.ts: a loop over pieces gives signals a turn. zero.ts: holes are written as zeros.
  commands: ['cli', 'control', 'nbd', 'interop', 'oci', 'storage/turns.ts', 'storage/zero.ts', ...FRONT_END],
  // clock.ts: progress needs time. system-error.ts: stdout fails as files do. new-file.ts: a signal must remove what is half-written.
  // malloc.ts, process-end.ts: how the process takes memory and ends is its own affair.
  cli: [
    'control',
    'image/api.ts',
    'storage/clock.ts',
    'storage/malloc.ts',
    'storage/process-end.ts',
    'storage/system-error.ts',
    'storage/new-file.ts',
  ],
};

/** Layers that may import each package. */
const PACKAGES: Record<string, readonly string[]> = {
  commander: ['cli'],
  chalk: ['cli'],
  'cli-progress': ['cli'],
  msgpackr: ['format'],
  '@toondepauw/node-zstd': ['log'],
  '@napi-rs/blake-hash': ['log', 'versions'],
  'fs-native-extensions': ['storage'],
  koffi: ['log', 'storage'],
};

/** Layers that never touch files, sockets or other programs themselves. */
const NO_INPUT_OUTPUT = ['format', 'map', 'space', 'log', 'versions', 'image'];
const INPUT_OUTPUT = /^node:(fs|fs\/promises|net|http|https|http2|tls|dgram|child_process|readline|tty)$/;

const MAX_LINES = 400;

interface Import {
  readonly from: string;
  readonly lazy: boolean;
  readonly typeOnly: boolean;
  readonly names: readonly string[];
}

interface SourceFile {
  /** Path below src/. */
  readonly path: string;
  readonly layer: string;
  readonly lineCount: number;
  readonly imports: readonly Import[];
  /** Things that are forbidden everywhere, and uses of `process` and `console`. */
  readonly findings: readonly string[];
  readonly globals: readonly string[];
}

const root = fileURLToPath(new URL('../', import.meta.url));
const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .sort()
  .map(parseSource);

function parseSource(path: string): SourceFile {
  const text = readFileSync(join(root, 'src', path), 'utf8');
  const { program, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`src/${path}: ${errors[0]?.message}`);
  const imports: Import[] = [];
  const findings: string[] = [];
  const globals: string[] = [];
  const at = (offset: number, what: string) => `src/${path}:${text.slice(0, offset).split('\n').length} ${what}`;
  const add = (from: string, { lazy = false, typeOnly = false, names = [] as string[] } = {}) =>
    imports.push({ from, lazy, typeOnly, names });
  const called = (argument: unknown) => {
    if (isText(argument)) add(argument.value, { lazy: true });
  };
  new Visitor({
    ImportDeclaration: ({ source, importKind, specifiers }) =>
      add(source.value, {
        typeOnly: importKind === 'type',
        names: specifiers.map((entry) =>
          entry.type === 'ImportSpecifier' && 'name' in entry.imported ? entry.imported.name : '*',
        ),
      }),
    ExportNamedDeclaration({ source, exportKind }) {
      if (source !== null) add(source.value, { typeOnly: exportKind === 'type' });
    },
    ExportAllDeclaration: ({ source, exportKind }) => add(source.value, { typeOnly: exportKind === 'type' }),
    ImportExpression: (node) => called(node.source),
    TSImportType: ({ source }) => add(source.value, { typeOnly: true }),
    CallExpression(node) {
      if (node.callee.type === 'Identifier' && /^require|^load/.test(node.callee.name)) called(node.arguments[0]);
    },
    ExportDefaultDeclaration: (node) => findings.push(at(node.start, 'default export')),
    TSEnumDeclaration: (node) => findings.push(at(node.start, 'enum')),
    TSAnyKeyword: (node) => findings.push(at(node.start, 'any')),
    Identifier(node) {
      if (node.name !== 'process' && node.name !== 'console') return;
      const before = text.slice(0, node.start);
      const member = /^\s*\??\.\s*(\w+)/.exec(text.slice(node.end))?.[1];
      if (!/[.#]\s*$/.test(before)) globals.push(at(node.start, `${node.name}.${member ?? ''}`));
    },
  }).visit(program);
  return {
    path,
    layer: path.includes('/') ? path.slice(0, path.indexOf('/')) : path,
    lineCount: text.split('\n').length - 1,
    imports,
    findings,
    globals,
  };
}

function isText(node: unknown): node is { readonly value: string } {
  return typeof node === 'object' && node !== null && 'value' in node && typeof node.value === 'string';
}

/** The path below src/ that a relative import leads to, or undefined for packages. */
function targetOf(file: SourceFile, from: string): string | undefined {
  return from.startsWith('.') ? join(dirname(file.path), from).replaceAll('\\', '/') : undefined;
}

function packageOf(from: string): string | undefined {
  if (from.startsWith('.') || from.startsWith('node:')) return undefined;
  return from
    .split('/')
    .slice(0, from.startsWith('@') ? 2 : 1)
    .join('/');
}

function isAllowed(file: SourceFile, target: string): boolean {
  const layer = target.includes('/') ? target.slice(0, target.indexOf('/')) : target;
  if (target === 'cli/main.ts') return false;
  if (layer === file.layer || target === 'errors.ts') return true;
  // The command table: the only way from the command line to a command is a lazy import.
  if (file.layer === 'cli' && layer === 'commands') return false;
  return MAY_IMPORT[file.layer]?.some((allowed) => allowed === layer || allowed === target) ?? false;
}

/** Everything that `path` loads at once: the files and packages it imports, and what those import, but not lazily. */
function loadedWith(path: string, seen = new Set<string>()): Set<string> {
  seen.add(path);
  const file = files.find((candidate) => candidate.path === path);
  for (const { from, lazy, typeOnly } of file?.imports ?? []) {
    if (file === undefined || lazy || typeOnly) continue;
    const target = targetOf(file, from) ?? from;
    if (!seen.has(target)) loadedWith(target, seen);
  }
  return seen;
}

describe('architecture', () => {
  it('every file belongs to a known layer', () => {
    expect(files.filter(({ layer }) => !(layer in MAY_IMPORT)).map(({ path }) => path)).toEqual([]);
  });

  it('imports point down only', () => {
    const wrong = files.flatMap((file) =>
      file.imports.flatMap(({ from, lazy }) => {
        const target = targetOf(file, from);
        if (target === undefined || isAllowed(file, target)) return [];
        if (lazy && file.layer === 'cli' && target.startsWith('commands/')) return [];
        return [`src/${file.path} -> ${target}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('each package is used by its own layers only', () => {
    const wrong = files.flatMap((file) =>
      file.imports.flatMap(({ from }) => {
        const name = packageOf(from);
        return name === undefined || PACKAGES[name]?.includes(file.layer) ? [] : [`src/${file.path} -> ${name}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  it('package.json lists exactly those packages', () => {
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(Object.keys({ ...dependencies, ...optionalDependencies }).sort()).toEqual(Object.keys(PACKAGES).sort());
  });

  it('files, sockets and programs are reached through storage/ only', () => {
    const wrong = files
      .filter(({ layer }) => NO_INPUT_OUTPUT.includes(layer))
      .flatMap(({ path, imports }) =>
        imports
          .filter(({ from, typeOnly }) => INPUT_OUTPUT.test(from) && !typeOnly)
          .map(({ from }) => `src/${path} -> ${from}`),
      );
    expect(wrong).toEqual([]);
  });

  it('starting the program loads no engine and no package', () => {
    const loaded = [...loadedWith('cli/main.ts')].filter((name) => !/^(node:|cli\/|storage\/|errors\.ts$)/.test(name));
    expect(loaded).toEqual([]);
  });

  it('only cli/ uses process and console', () => {
    const wrong = files.flatMap(({ layer, globals, imports, path }) => {
      if (layer === 'cli') return [];
      const imported = imports
        .filter(({ from }) => /^(node:)?(process|console)$/.test(from))
        .flatMap(({ names }) => names.map((name) => `src/${path} process.${name}`));
      const allowed = layer === 'storage' ? /process\.(arch|dlopen|hrtime|pid|platform)$/ : /^$/;
      return [...globals, ...imported].filter((use) => !allowed.test(use));
    });
    expect(wrong).toEqual([]);
  });

  it('there is no default export, no enum and no any', () => {
    expect(files.flatMap(({ findings }) => findings)).toEqual([]);
  });

  it(`no file is longer than ${MAX_LINES} lines`, () => {
    const long = files.filter(({ lineCount }) => lineCount > MAX_LINES);
    expect(long.map(({ path, lineCount }) => `src/${path}: ${lineCount}`)).toEqual([]);
  });
});
