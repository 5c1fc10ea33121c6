import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Input } from '../../src/nbd/input.ts';
import { noise } from '../support/content.ts';

const MOST_BYTES = 64 * 1024;

/** What happens next: bytes come from a socket or from elsewhere, or are taken, or left out. */
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom('space', 'push', 'take', 'skip'),
    lengthBytes: fc.oneof(fc.nat(100), fc.nat(MOST_BYTES)),
  }),
  { minLength: 40, maxLength: 80, size: 'max' },
);

it('gives out what came in, in order, and leaves alone what was taken last', () => {
  const stream = Buffer.from(noise(8 * 1024 * 1024, 1));
  fc.assert(
    fc.property(steps, (list) => {
      const input = new Input(MOST_BYTES);
      let [came, used] = [0, 0];
      let taken: { readonly bytes: Buffer; readonly at: number } | undefined;
      for (const { kind, lengthBytes } of list) {
        if (kind === 'space' && !input.isFull) {
          const space = input.space();
          expect(space.length).toBeGreaterThan(0);
          const count = Math.min(space.length, lengthBytes, stream.length - came);
          stream.copy(space, 0, came, came + count);
          input.filled(count);
          came += count;
          // Node asks for the next memory at once, though it may not be filled for long.
          input.space();
        } else if (kind === 'push' && !input.isFull) {
          const count = Math.min(lengthBytes, stream.length - came);
          input.push(stream.subarray(came, came + count));
          came += count;
        } else if (kind === 'take') {
          const bytes = input.take(lengthBytes);
          expect(bytes === undefined).toBe(lengthBytes > came - used);
          if (bytes !== undefined) {
            taken = { bytes, at: used };
            used += lengthBytes;
          }
        } else if (kind === 'skip') {
          used += input.skip(lengthBytes);
        }
        expect(input.lengthBytes).toBe(came - used);
        if (taken !== undefined)
          expect(taken.bytes.equals(stream.subarray(taken.at, taken.at + taken.bytes.length))).toBe(true);
      }
    }),
    { numRuns: 500 },
  );
});
