import { corrupt } from '../errors.ts';
import type { Document } from './msgpack.ts';
import { isCount, rootFromValue, type TreeRoot } from './page.ts';

/** Takes the fields of a decoded document one by one, checking what each one is. */
export class Fields {
  private readonly document: Document;
  private readonly what: string;

  constructor(document: Document, what: string) {
    this.document = document;
    this.what = what;
  }

  fail(name: string): never {
    throw corrupt(`${this.what}: field '${name}' is missing or malformed`);
  }

  count(name: string, limit = Number.MAX_SAFE_INTEGER): number {
    const value = this.document[name];
    if (!isCount(value) || value > limit) this.fail(name);
    return value;
  }

  counts(name: string, maxLength: number): readonly number[] {
    const value = this.document[name];
    if (!Array.isArray(value) || value.length > maxLength || !value.every(isCount)) this.fail(name);
    return value as number[];
  }

  countOrNull(name: string): number | null {
    return this.document[name] === null ? null : this.count(name);
  }

  text(name: string): string {
    const value = this.document[name];
    if (typeof value !== 'string') this.fail(name);
    return value;
  }

  /** Text of one line that may be shown as it is: without control characters. */
  label(name: string): string {
    const value = this.text(name);
    if (!isLabel(value)) this.fail(name);
    return value;
  }

  labelOrNull(name: string): string | null {
    return this.document[name] === null ? null : this.label(name);
  }

  bytes(name: string, lengthBytes: number): Uint8Array {
    const value = this.document[name];
    if (!(value instanceof Uint8Array) || value.length !== lengthBytes) this.fail(name);
    return value;
  }

  labels(name: string): readonly string[] {
    const value = this.document[name];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string' && isLabel(item))) this.fail(name);
    return value as string[];
  }

  root(name: string): TreeRoot {
    return rootFromValue(this.document[name] ?? null, `${this.what}: tree '${name}'`);
  }

  child(name: string): Fields {
    const value = this.document[name];
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
      this.fail(name);
    return new Fields(value as Document, `${this.what}, ${name}`);
  }
}

function isLabel(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what \p{Control} means, which takes longer to compile.
  return !/[\u0000-\u001f\u007f-\u009f]/.test(text);
}
