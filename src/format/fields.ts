import { corrupt } from '../errors.ts';
import type { Document } from './msgpack.ts';
import { isCount, rootFromValue, type TreeRoot } from './page.ts';

/** Takes the fields of a decoded document one by one, checking what each one is; knows which nobody asked for. */
export class Fields {
  private readonly document: Document;
  private readonly what: string;
  private readonly taken = new Set<string>();
  private readonly children = new Map<string, Fields>();

  constructor(document: Document, what: string) {
    this.document = document;
    this.what = what;
  }

  private take(name: string): unknown {
    this.taken.add(name);
    return this.document[name];
  }

  fail(name: string): never {
    throw corrupt(`${this.what}: field '${name}' is missing or malformed`);
  }

  count(name: string, limit = Number.MAX_SAFE_INTEGER): number {
    const value = this.take(name);
    if (!isCount(value) || value > limit) this.fail(name);
    return value;
  }

  counts(name: string, maxLength: number): readonly number[] {
    const value = this.take(name);
    if (!Array.isArray(value) || value.length > maxLength || !value.every(isCount)) this.fail(name);
    return value as number[];
  }

  countOrNull(name: string): number | null {
    return this.take(name) === null ? null : this.count(name);
  }

  text(name: string): string {
    const value = this.take(name);
    if (typeof value !== 'string') this.fail(name);
    return value;
  }

  isTrue(name: string): true {
    if (this.take(name) !== true) this.fail(name);
    return true;
  }

  /** What `read` takes, or undefined if there is no such field. */
  optional<T>(name: string, read: () => T): T | undefined {
    return Object.hasOwn(this.document, name) ? read() : undefined;
  }

  /** Text of one line that may be shown as it is: without control characters. */
  label(name: string): string {
    const value = this.text(name);
    if (!isLabel(value)) this.fail(name);
    return value;
  }

  labelOrNull(name: string): string | null {
    return this.take(name) === null ? null : this.label(name);
  }

  bytes(name: string, lengthBytes: number): Uint8Array {
    const value = this.take(name);
    if (!(value instanceof Uint8Array) || value.length !== lengthBytes) this.fail(name);
    return value;
  }

  labels(name: string): readonly string[] {
    const value = this.take(name);
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string' && isLabel(item))) this.fail(name);
    return value as string[];
  }

  root(name: string): TreeRoot {
    return rootFromValue(this.take(name) ?? null, `${this.what}: tree '${name}'`);
  }

  child(name: string): Fields {
    const value = this.take(name);
    if (!isMap(value)) this.fail(name);
    const child = new Fields(value, `${this.what}, ${name}`);
    this.children.set(name, child);
    return child;
  }

  /** The fields that were not taken, also those of maps that were; undefined if there are none. */
  rest(): Document | undefined {
    const own = Object.entries(this.document).filter(([name]) => !this.taken.has(name));
    const below = [...this.children].flatMap(([name, child]) => {
      const rest = child.rest();
      return rest === undefined ? [] : [[name, rest] as const];
    });
    return own.length + below.length === 0 ? undefined : Object.fromEntries<unknown>([...own, ...below]);
  }
}

/** The document with `rest`, which `Fields.rest` found in one like it, in its place again; what the document says itself stays. */
export function withRest(document: Document, rest: Document | undefined): Document {
  if (rest === undefined) return document;
  const merged = Object.entries(rest).map(([name, value]): readonly [string, unknown] => {
    if (!Object.hasOwn(document, name)) return [name, value];
    return [name, isMap(document[name]) && isMap(value) ? withRest(document[name], value) : document[name]];
  });
  return { ...document, ...Object.fromEntries(merged) };
}

function isMap(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function isLabel(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what \p{Control} means, which takes longer to compile.
  return !/[\u0000-\u001f\u007f-\u009f]/.test(text);
}
