import { corrupt } from '../errors.ts';

const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Reads integers from hostile bytes; every overrun is a 'corrupt' error. */
export class ByteReader {
  readonly bytes: Uint8Array;
  position: number;
  private readonly what: string;

  constructor(bytes: Uint8Array, what: string, position = 0) {
    this.bytes = bytes;
    this.what = what;
    this.position = position;
  }

  get remaining(): number {
    return this.bytes.length - this.position;
  }

  fail(reason: string): never {
    throw corrupt(`${this.what}: ${reason}`);
  }

  byte(): number {
    const value = this.bytes[this.position];
    if (value === undefined) this.fail('ends early');
    this.position++;
    return value;
  }

  /** Unsigned LEB128 of at most 53 bits, shortest form only. */
  varint(): number {
    let value = this.byte();
    if (value < 0x80) return value;
    value &= 0x7f;
    let scale = 128;
    for (let count = 1; ; count++) {
      const next = this.byte();
      value += (next & 0x7f) * scale;
      if (next < 0x80) {
        if (next === 0 || count > 7 || value > Number.MAX_SAFE_INTEGER)
          this.fail('number is not in its shortest form or too large');
        return value;
      }
      if (count >= 7) this.fail('number is too large');
      scale *= 128;
    }
  }

  /** Zigzag-encoded signed varint. */
  signed(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  uint32(): number {
    const at = this.position;
    if (this.remaining < 4) this.fail('ends early');
    this.position += 4;
    const b = this.bytes;
    return (
      ((b[at] as number) |
        ((b[at + 1] as number) << 8) |
        ((b[at + 2] as number) << 16) |
        ((b[at + 3] as number) << 24)) >>>
      0
    );
  }

  /** Fills `into` with numbers. */
  uint32s(into: Uint32Array): void {
    const bytes = this.take(into.byteLength);
    if (IS_LITTLE_ENDIAN) {
      new Uint8Array(into.buffer, into.byteOffset, into.byteLength).set(bytes);
      return;
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    for (let index = 0; index < into.length; index++) into[index] = view.getUint32(4 * index, true);
  }

  /** Below 2^53, as every number here. */
  uint64(): number {
    const low = this.uint32();
    const high = this.uint32();
    if (high >= 2 ** 21) this.fail('number is too large');
    return high * 2 ** 32 + low;
  }

  /** A view, not a copy. */
  take(lengthBytes: number): Uint8Array {
    if (lengthBytes > this.remaining) this.fail('ends early');
    const at = this.position;
    this.position += lengthBytes;
    return this.bytes.subarray(at, at + lengthBytes);
  }

  end(): void {
    if (this.remaining !== 0) this.fail('has bytes beyond its end');
  }
}

/** Writes what `ByteReader` reads; grows as needed. */
export class ByteWriter {
  private buffer: Uint8Array;
  /** Bytes written so far. */
  length = 0;

  constructor(capacityBytes = 256) {
    this.buffer = new Uint8Array(capacityBytes);
  }

  private room(lengthBytes: number): number {
    const at = this.length;
    const needed = at + lengthBytes;
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.buffer.length * 2));
      grown.set(this.buffer.subarray(0, at));
      this.buffer = grown;
    }
    this.length = needed;
    return at;
  }

  byte(value: number): void {
    const at = this.room(1);
    this.buffer[at] = value;
  }

  varint(value: number): void {
    while (value >= 0x80) {
      this.byte((value % 128) | 0x80);
      value = Math.floor(value / 128);
    }
    this.byte(value);
  }

  signed(value: number): void {
    this.varint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  uint32(value: number): void {
    const at = this.room(4);
    this.buffer[at] = value;
    this.buffer[at + 1] = value >>> 8;
    this.buffer[at + 2] = value >>> 16;
    this.buffer[at + 3] = value >>> 24;
  }

  uint32s(values: Uint32Array): void {
    if (!IS_LITTLE_ENDIAN) for (const value of values) this.uint32(value);
    else this.raw(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  uint64(value: number): void {
    this.uint32(value % 2 ** 32);
    this.uint32(Math.floor(value / 2 ** 32));
  }

  raw(bytes: Uint8Array): void {
    const at = this.room(bytes.length);
    this.buffer.set(bytes, at);
  }

  /** All that was written, until the next byte is; it begins anew then. */
  takeAll(): Uint8Array {
    const all = this.buffer.subarray(0, this.length);
    this.length = 0;
    return all;
  }

  /** All that was written, as its own copy. */
  finish(): Uint8Array {
    return this.buffer.slice(0, this.length);
  }
}

export function varintBytes(value: number): number {
  let count = 1;
  while (value >= 0x80) {
    value = Math.floor(value / 128);
    count++;
  }
  return count;
}

export function signedBytes(value: number): number {
  return varintBytes(value >= 0 ? value * 2 : -value * 2 - 1);
}
