import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { manPages } from '../.ci/man-pages.ts';
import { checksum } from '../src/format/checksum.ts';
import { makeExtents } from '../src/format/extent-page.ts';
import { extentLayout } from '../src/map/layouts.ts';
import { encodeNode } from '../src/map/node.ts';
import { workspace } from './support/workspace.ts';

const directory = fileURLToPath(new URL('../man/', import.meta.url));
const committed = readdirSync(directory).filter((name) => /\.[1-9]$/.test(name));
const hasMandoc = spawnSync('mandoc', ['-T', 'lint', '/dev/null']).error === undefined;

it('the pages of commands are what their definitions give (else: npm run man)', async () => {
  const pages = await manPages();
  expect(committed.filter((name) => name.endsWith('.1')).sort()).toEqual([...pages.keys()].sort());
  for (const [name, text] of pages)
    expect({ name, text: readFileSync(directory + name, 'utf8') }).toEqual({ name, text });
});

it('package.json names all pages, for npm install -g', () => {
  const { man } = JSON.parse(readFileSync(`${directory}../package.json`, 'utf8'));
  expect(man).toEqual([...committed].sort().map((name) => `./man/${name}`));
});

it.skipIf(!hasMandoc)('all pages are clean', () => {
  const { stdout, stderr } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...committed], {
    cwd: directory,
    encoding: 'utf8',
  });
  expect(stdout + stderr).toBe('');
});

it.skipIf(!hasMandoc)('pages refer only to pages that there are', () => {
  const own = committed.flatMap((name) => {
    const text = readFileSync(directory + name, 'utf8');
    return [...text.matchAll(/^\.Xr (vsi\S*) (\d)/gm)].map(([, other, section]) => `${other}.${section}`);
  });
  expect([...new Set(own)].filter((name) => !committed.includes(name))).toEqual([]);
});

/** Bytes of the lines of hexadecimal pairs that follow `title` in a display of vsi.5. */
function exampleBytes(title: string): Buffer {
  const page = readFileSync(`${directory}vsi.5`, 'utf8');
  const [, lines = ''] = new RegExp(`^\\.\\\\" ${title}\\n\\.Bd [^\\n]*\\n(.*?)^\\.Ed`, 'ms').exec(page) ?? [];
  const pairs = lines.split('\n').flatMap((line) => /^((?:[0-9a-f]{2} ?)+)/.exec(line)?.[1]?.trim().split(' ') ?? []);
  return Buffer.from(pairs.join(''), 'hex');
}

it('the worked examples of vsi(5) are what the program writes: a page', () => {
  const leaf = makeExtents([
    { start: 0, length: 1, log: 0, kind: 0 },
    { start: 34, length: 240, log: 1, kind: 0 },
    { start: 274, length: 1, log: 500, kind: 0 },
    { start: 1024, length: 16, log: 0, kind: 1 },
    { start: 2048, length: 3, log: 241, kind: 0 },
  ]);
  const bytes = encodeNode(extentLayout, { level: 0, birth: 7, leaf }, 7);
  expect(exampleBytes('example: extent page').toString('hex')).toBe(Buffer.from(bytes).toString('hex'));
  expect(readFileSync(`${directory}vsi.5`, 'utf8')).toContain(
    `CRC\\-32 of the page is ${checksum(bytes).toString(16)}`,
  );
});

it('the worked examples of vsi(5) are what the program writes: a container', async () => {
  const { ok, path } = workspace();
  await ok(['create', 't.vsi', '1M', '--compression', 'none']);
  await ok(['write', 't.vsi', '--offset', '8k'], { stdin: 'hello' });
  await ok(['commit', 't.vsi', '-m', 'first', '--tag', 'v1']);
  const container = readFileSync(path('t.vsi'));
  for (const [title, place] of [
    ['slot', 0],
    ['table', 8192],
  ] as const) {
    const bytes = exampleBytes(`example: ${title}`);
    expect(bytes.length).toBeGreaterThan(20);
    expect(container.subarray(place, place + bytes.length).toString('hex')).toBe(bytes.toString('hex'));
  }
  for (const title of ['working map', 'log index', 'version record', 'names']) {
    const bytes = exampleBytes(`example: ${title}`);
    expect(bytes.length).toBeGreaterThan(5);
    expect({ title, at: container.indexOf(bytes) > 0 }).toEqual({ title, at: true });
  }
});
