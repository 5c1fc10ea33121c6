import { readdirSync, readFileSync } from 'node:fs';
import { COMMANDS } from '../../src/cli/registry.ts';
import type { RunResult } from './cli.ts';

type Schema = Readonly<Record<string, unknown>>;
type Complain = (complaint: string) => void;

const directory = new URL('../../src/schemas/', import.meta.url);

/** All schemas by name: of each command, and of what commands have in common. */
export const SCHEMAS: ReadonlyMap<string, Schema> = new Map(
  readdirSync(directory).map((file) => [
    file.replace(/\.schema\.json$/, ''),
    JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as Schema,
  ]),
);

/** Keywords that say nothing about what is valid. */
const ANNOTATIONS = ['$schema', '$id', '$defs', 'title', 'description', 'examples', 'default'];

/** Every other keyword that schemas may use. */
const KEYWORDS: Readonly<Record<string, (wanted: unknown, value: unknown, at: At) => void>> = {
  $ref: (wanted, value, at) => validate(referred(String(wanted), at.root), value, at),
  type(wanted, value, { complain, path }) {
    const types = list(wanted).map(String);
    if (!types.some((type) => isOfType(type, value))) complain(`${path} is not ${types.join(' or ')}`);
  },
  enum(wanted, value, { complain, path }) {
    if (!list(wanted).includes(value)) complain(`${path} is ${JSON.stringify(value)}`);
  },
  const(wanted, value, { complain, path }) {
    if (value !== wanted) complain(`${path} is not ${JSON.stringify(wanted)}`);
  },
  minimum(wanted, value, { complain, path }) {
    if (typeof value === 'number' && value < Number(wanted)) complain(`${path} is ${value}`);
  },
  maximum(wanted, value, { complain, path }) {
    if (typeof value === 'number' && value > Number(wanted)) complain(`${path} is ${value}`);
  },
  exclusiveMinimum(wanted, value, { complain, path }) {
    if (typeof value === 'number' && value <= Number(wanted)) complain(`${path} is ${value}`);
  },
  pattern(wanted, value, { complain, path }) {
    if (typeof value === 'string' && !new RegExp(String(wanted), 'u').test(value)) complain(`${path} is '${value}'`);
  },
  minItems(wanted, value, { complain, path }) {
    if (Array.isArray(value) && value.length < Number(wanted)) complain(`${path} has ${value.length} items`);
  },
  maxItems(wanted, value, { complain, path }) {
    if (Array.isArray(value) && value.length > Number(wanted)) complain(`${path} has ${value.length} items`);
  },
  required(wanted, value, { complain, path }) {
    if (!isObject(value)) return;
    for (const name of list(wanted).map(String)) if (!(name in value)) complain(`${path}.${name} is missing`);
  },
  properties(wanted, value, at) {
    if (!isObject(value)) return;
    for (const [name, schema] of Object.entries(wanted as Readonly<Record<string, Schema>>))
      if (name in value) validate(schema, value[name], { ...at, path: `${at.path}.${name}` });
  },
  additionalProperties(wanted, value, at) {
    if (!isObject(value)) return;
    const known = (at.schema['properties'] ?? {}) as Schema;
    for (const [name, member] of Object.entries(value))
      if (!(name in known)) validate(wanted as Schema, member, { ...at, path: `${at.path}.${name}` });
  },
  items(wanted, value, at) {
    if (!Array.isArray(value)) return;
    for (const [index, item] of value.entries())
      validate(wanted as Schema, item, { ...at, path: `${at.path}[${index}]` });
  },
  allOf(wanted, value, at) {
    for (const schema of list(wanted) as Schema[]) validate(schema, value, at);
  },
  anyOf(wanted, value, at) {
    if (fitting(wanted, value, at) === 0) at.complain(`${at.path} fits none of the choices`);
  },
  oneOf(wanted, value, at) {
    const count = fitting(wanted, value, at);
    if (count !== 1) at.complain(`${at.path} fits ${count} of the choices, not one`);
  },
};

interface At {
  readonly path: string;
  /** The schema that has the keyword. */
  readonly schema: Schema;
  /** The whole schema, for references within it. */
  readonly root: Schema;
  readonly complain: Complain;
}

function validate(schema: Schema | boolean, value: unknown, at: Omit<At, 'schema'> & { readonly schema?: Schema }) {
  if (typeof schema === 'boolean') {
    if (!schema) at.complain(`${at.path} must not be there`);
    return;
  }
  const root = '$id' in schema ? schema : at.root;
  for (const [keyword, wanted] of Object.entries(schema)) {
    if (ANNOTATIONS.includes(keyword)) continue;
    const rule = KEYWORDS[keyword];
    if (rule === undefined) throw new Error(`${at.path}: the schema's keyword '${keyword}' is not known here`);
    rule(wanted, value, { ...at, schema, root });
  }
}

function fitting(schemas: unknown, value: unknown, at: At): number {
  return (list(schemas) as Schema[]).filter((schema) => {
    let fits = true;
    const complain = () => {
      fits = false;
    };
    validate(schema, value, { ...at, complain });
    return fits;
  }).length;
}

function referred(reference: string, root: Schema): Schema {
  const [, definition, id] = /^(?:#\/\$defs\/(\w+)|vsimg:([a-z-]+))$/.exec(reference) ?? [];
  const definitions = (root['$defs'] ?? {}) as Readonly<Record<string, Schema>>;
  const found = definition === undefined ? SCHEMAS.get(id ?? '') : definitions[definition];
  if (found === undefined) throw new Error(`there is no schema ${reference}`);
  return found;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'integer':
      return Number.isInteger(value);
    case 'string':
      return typeof value === 'string';
    case 'number':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    default:
      throw new Error(`there is no type '${type}'`);
  }
}

/** What is wrong with `value` by the schema `name`, or by its `part` below `$defs`; nothing if it fits. */
export function misfits(name: string, value: unknown, part?: string): string[] {
  const root = SCHEMAS.get(name);
  if (root === undefined) throw new Error(`there is no src/schemas/${name}.schema.json`);
  const schema = part === undefined ? root : referred(`#/$defs/${part}`, root);
  const complaints: string[] = [];
  validate(schema, value, { path: name, root, complain: (complaint) => complaints.push(complaint) });
  return complaints;
}

/** Whether lines of `--json=lines` are parts of the document of the command `name`, or each the whole. */
export function hasLines(name: string): boolean {
  return Object.hasOwn((SCHEMAS.get(name)?.['$defs'] ?? {}) as Schema, 'line');
}

/** Throws unless what a command with `--json` or `--json=lines` printed fits its schema, and its error that of errors. */
export function checkJson(argv: readonly string[], { stdout, stderr, signal }: RunResult): void {
  const [name = ''] = argv;
  const isLines = argv.includes('--json=lines');
  if (signal !== null || !(isLines || argv.includes('--json'))) return;
  const complaints = stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .flatMap((line) => {
      const object: unknown = JSON.parse(line);
      return misfits(isObject(object) && 'phase' in object ? 'progress' : 'error', object);
    });
  if (COMMANDS.some((command) => command.name === name) && stdout !== '') {
    const texts = isLines ? stdout.trimEnd().split('\n') : [stdout];
    for (const text of texts) {
      const value: unknown = JSON.parse(text);
      const whole = misfits(name, value);
      complaints.push(...(isLines && whole.length > 0 && hasLines(name) ? misfits(name, value, 'line') : whole));
    }
  }
  if (complaints.length > 0) throw new Error(`vsimg ${argv.join(' ')}: ${complaints.join('; ')}`);
}
