import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/registry.ts';
import { EXIT_STATUS } from '../../src/errors.ts';
import { misfits, SCHEMAS } from '../support/schema.ts';
import { noise, workspace } from '../support/workspace.ts';

/** Codes that say how a command ended without being an error. */
const NO_ERRORS = ['check-incomplete', 'check-errors', 'check-leaks', 'broken-pipe'];

interface Part {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, Part>>;
}

/** Every property of a schema, also those of its parts, with the way to it. */
function propertiesOf(part: Part, path: string): (readonly [path: string, property: Part])[] {
  const found: (readonly [string, Part])[] = [];
  for (const [keyword, value] of Object.entries(part)) {
    if (keyword === 'properties') {
      for (const [name, property] of Object.entries(part.properties ?? {}))
        found.push([`${path}.${name}`, property], ...propertiesOf(property, `${path}.${name}`));
    } else if (keyword === '$defs') {
      for (const [name, definition] of Object.entries(value as Readonly<Record<string, Part>>))
        found.push(...propertiesOf(definition, `${path}#${name}`));
    } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      found.push(...propertiesOf(value as Part, path));
    }
  }
  return found;
}

describe('the schemas', () => {
  it.each(COMMANDS)('vsimg $name has one', ({ name }) => {
    expect(SCHEMAS.has(name)).toBe(true);
  });

  it.each([...SCHEMAS])('%s says what it is, explains everything and lets fields be added', (name, schema) => {
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: `vsimg:${name}`,
      type: 'object',
    });
    expect(schema['title']).toMatch(/\w/);
    expect(JSON.stringify(schema)).not.toMatch(/"(additionalProperties|unevaluatedProperties)":false/);
    const unexplained = propertiesOf(schema as Part, name)
      .filter(([, property]) => typeof property['description'] !== 'string' && !('$ref' in property))
      .map(([path]) => path);
    expect(unexplained).toEqual([]);
  });

  it('are in the package, each complete in its file', () => {
    for (const name of SCHEMAS.keys()) {
      const file = new URL(`../../dist/schemas/${name}.schema.json`, import.meta.url);
      const schema = JSON.parse(readFileSync(file, 'utf8'));
      const ids = [schema, ...Object.values<Part>(schema.$defs ?? {})].map((part) => part['$id']);
      for (const [, id] of JSON.stringify(schema).matchAll(/"\$ref":"(vsimg:[^"]+)"/g)) expect(ids).toContain(id);
    }
  });

  it('that of errors has every code, and that of statuses is the same list', () => {
    const { properties } = SCHEMAS.get('error') as Part;
    const codes = Object.keys(EXIT_STATUS).filter((code) => !NO_ERRORS.includes(code));
    expect([...((properties?.['code']?.['enum'] ?? []) as string[])].sort()).toEqual(codes.sort());
  });

  it('do refuse what does not fit', () => {
    const error = { code: 'io', message: 'm', hint: null, 'exit-status': 74 };
    expect(misfits('error', { ...error, added: 'later' })).toEqual([]);
    expect(misfits('error', { ...error, code: 'oops' })).toEqual(['error.code is "oops"']);
    expect(misfits('error', { ...error, 'host-offset': -1 })).toEqual(['error.host-offset is -1']);
    expect(misfits('error', { code: 'io', message: 'm', hint: 1 })).toEqual([
      'error.exit-status is missing',
      'error.hint is not string or null',
    ]);
    expect(misfits('checkout', { filename: 'a', head: {} })).toContain('checkout.head.dirty is missing');
    expect(misfits('tag', { filename: 'a' })).toEqual(['tag fits 0 of the choices, not one']);
  });
});

/** `run` of a workspace throws where a document does not fit; here is one of every shape. */
describe('documents fit their schemas', () => {
  const { ok, run, path } = workspace();

  beforeAll(() => {
    writeFileSync(path('one.raw'), noise(100_000, 1));
  });

  it.each([
    [0, 'create empty.vsi 1M'],
    [0, 'import one.raw a.vsi --tag v1'],
    [0, 'write a.vsi --zero --length 8k'],
    [0, 'info a.vsi'],
    [0, 'commit a.vsi -m two'],
    [0, 'info a.vsi --all'],
    [0, 'info empty.vsi'],
    [0, 'log a.vsi'],
    [0, 'log empty.vsi'],
    [0, 'read a.vsi@1 --length 4k -o out'],
    [0, 'read a.vsi -o out'],
    [0, 'export a.vsi@1 old.raw'],
    [0, 'export a.vsi@2 old.raw --seed 1'],
    [0, 'diff a.vsi 1 2'],
    [1, 'diff a.vsi 1 2 --stat --exit-code'],
    [0, 'diff a.vsi'],
    [0, 'branch a.vsi side 1'],
    [0, 'branch a.vsi'],
    [0, 'checkout a.vsi 1'],
    [0, 'branch a.vsi -d side'],
    [0, 'tag a.vsi v2'],
    [0, 'tag a.vsi'],
    [0, 'tag a.vsi -d v2'],
    [0, 'checkout a.vsi main'],
    [0, 'delete a.vsi 1'],
    [0, 'gc a.vsi --dry-run'],
    [0, 'gc a.vsi'],
    [0, 'check a.vsi --data'],
    [0, 'check a.vsi --repair'],
    [0, 'help sizes'],
    [0, 'help'],
    [66, 'info none.vsi'],
    [64, 'info'],
    [73, 'create a.vsi 1M'],
    [65, 'info one.raw'],
    [66, 'read a.vsi@nothing -o out'],
  ])('%d: %s', async (wanted, line) => {
    const { status, stdout, stderr } = await run([...line.split(' '), '--json']);
    expect({ status, stderr: wanted > 1 ? '' : stderr }).toEqual({ status: wanted, stderr: '' });
    if (wanted > 1) expect(JSON.parse(stderr)).toMatchObject({ 'exit-status': wanted });
    else expect(JSON.parse(stdout)).toBeInstanceOf(Object);
  });

  it('of damaged images too', async () => {
    await ok(['import', 'one.raw', 'b.vsi', '--compression', 'none', '-q']);
    const bytes = readFileSync(path('b.vsi'));
    const at = bytes.indexOf(noise(100_000, 1).subarray(8192, 8292));
    bytes.fill(0, at, at + 100);
    writeFileSync(path('b.vsi'), bytes);
    expect((await run(['read', 'b.vsi', '-o', 'out', '--json'])).status).toBe(65);
    expect((await run(['export', 'b.vsi', 'b.raw', '--ignore-errors', '--json'])).status).toBe(65);
    for (const options of [['--data'], ['--repair'], ['--data']]) {
      const { status, stdout } = await run(['check', 'b.vsi', ...options, '--json']);
      const { errors, lost } = JSON.parse(stdout);
      expect({ status, hasFindings: errors.length + lost.length > 0 }).toEqual({ status: 2, hasFindings: true });
    }
  });
});
