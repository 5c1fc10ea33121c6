import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/format/cursor.ts';
import { numberKey } from '../../src/format/record-page.ts';
import { pendingRange } from '../../src/space/pending.ts';
import { decodeHostile } from '../support/hostile.ts';

describe('pending space', () => {
  const value = (...numbers: number[]): Uint8Array => {
    const writer = new ByteWriter(16);
    for (const number of numbers) writer.varint(number);
    return writer.finish();
  };

  it('says where it is, and of which generations', () => {
    const range = { start: 9000, end: 9100, birth: 3, givenUp: 7 };
    expect(pendingRange(numberKey(5, 7, 9000), value(100, 3))).toEqual(range);
  });

  it.each([
    ['born after it was given up', numberKey(5, 7, 9000), value(100, 8)],
    ['waiting for a generation without it', numberKey(7, 7, 9000), value(100, 3)],
    ['of no length', numberKey(5, 7, 9000), value(0, 3)],
    ['with a short key', numberKey(5, 7), value(100, 3)],
    ['with a long key', `${numberKey(5, 7, 9000)}x`, value(100, 3)],
    ['without a birth', numberKey(5, 7, 9000), value(100)],
    ['with something behind it', numberKey(5, 7, 9000), value(100, 3, 1)],
  ])('%s is corrupt', (_name, key, bytes) => {
    expect(decodeHostile(() => pendingRange(key, bytes))).toEqual({ code: 'corrupt' });
  });
});
