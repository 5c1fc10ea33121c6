/** A number that may be more than the format allows. */
export type Num = number | bigint;

/** Any msgpack value, and what no writer would write. */
export type Loose =
  | null
  | boolean
  | Num
  | string
  | Uint8Array
  | readonly Loose[]
  | LooseMap
  /** Bytes that stand for themselves. */
  | { readonly verbatim: Uint8Array };

/** Keys may repeat, and need not be text. */
export interface LooseMap {
  readonly pairs: [Loose, Loose][];
}

const ARRAY_TAG = 0xdc;
const MAP_TAG = 0xde;

/** Writes what the format's own writers refuse to: numbers out of range, malformed documents. */
export class LooseWriter {
  private buffer = new Uint8Array(4096);
  length = 0;

  private room(count: number): number {
    const at = this.length;
    if (at + count > this.buffer.length) {
      const grown = new Uint8Array(Math.max(at + count, this.buffer.length * 2));
      grown.set(this.buffer.subarray(0, at));
      this.buffer = grown;
    }
    this.length += count;
    return at;
  }

  byte(value: number): void {
    const at = this.room(1);
    this.buffer[at] = value;
  }

  raw(bytes: Uint8Array): void {
    const at = this.room(bytes.length);
    this.buffer.set(bytes, at);
  }

  varint(value: Num): void {
    let rest = wide(value);
    if (typeof rest === 'number') {
      for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.byte((rest % 128) | 0x80);
      this.byte(rest);
      return;
    }
    for (; rest >= 0x80n; rest >>= 7n) this.byte(Number(rest & 0x7fn) | 0x80);
    this.byte(Number(rest));
  }

  signed(value: Num): void {
    if (typeof value === 'number' && Math.abs(value) < 2 ** 51) this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
    else this.varint(BigInt(value) >= 0n ? BigInt(value) * 2n : -BigInt(value) * 2n - 1n);
  }

  uint32(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.byte((value >>> shift) & 0xff);
  }

  uint64(value: Num): void {
    const wideValue = BigInt.asUintN(64, BigInt(value));
    for (let shift = 0n; shift < 64n; shift += 8n) this.byte(Number((wideValue >> shift) & 0xffn));
  }

  private bigEndian(value: Num, count: number): void {
    for (let index = count - 1; index >= 0; index--) this.byte(Number((BigInt(value) >> BigInt(8 * index)) & 0xffn));
  }

  /** Tag and length in the shortest form; tags of 8 and 16 bits follow each other. */
  private head(length: number, small: { readonly base: number; readonly below: number }, tag: number): void {
    if (length < small.below) this.byte(small.base + length);
    else if (length < 256 && tag !== ARRAY_TAG && tag !== MAP_TAG) {
      this.byte(tag);
      this.byte(length);
    } else {
      this.byte(tag === ARRAY_TAG || tag === MAP_TAG ? tag : tag + 1);
      this.bigEndian(length, 2);
    }
  }

  value(value: Loose): void {
    if (value === null) this.byte(0xc0);
    else if (typeof value === 'boolean') this.byte(value ? 0xc3 : 0xc2);
    else if (typeof value === 'number' || typeof value === 'bigint') this.number(value);
    else if (typeof value === 'string') {
      const bytes = Buffer.from(value, 'utf8');
      this.head(bytes.length, { base: 0xa0, below: 32 }, 0xd9);
      this.raw(bytes);
    } else if (value instanceof Uint8Array) {
      this.head(value.length, { base: 0, below: 0 }, 0xc4);
      this.raw(value);
    } else if (Array.isArray(value)) {
      this.head(value.length, { base: 0x90, below: 16 }, ARRAY_TAG);
      for (const item of value as readonly Loose[]) this.value(item);
    } else if ('verbatim' in value) this.raw(value.verbatim);
    else {
      const { pairs } = value as LooseMap;
      this.head(pairs.length, { base: 0x80, below: 16 }, MAP_TAG);
      for (const [key, item] of pairs) {
        this.value(key);
        this.value(item);
      }
    }
  }

  private number(value: Num): void {
    if (typeof value === 'number' && value >= 0 && value < 128) this.byte(value);
    else if (value >= 0 && value < 2 ** 32) {
      const power = value < 2 ** 8 ? 0 : value < 2 ** 16 ? 1 : 2;
      this.byte(0xcc + power);
      this.bigEndian(value, 2 ** power);
    } else {
      this.byte(value >= 2n ** 63n ? 0xcf : 0xd3);
      this.bigEndian(value, 8);
    }
  }

  /** A view of what was written; it is overwritten after the next `reset`. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  finish(): Uint8Array {
    return this.view().slice();
  }
}

/** As an unsigned number of any size. */
function wide(value: Num): Num {
  if (typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  return BigInt.asUintN(70, BigInt(value));
}
