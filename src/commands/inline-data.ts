import type { OptionDefinition } from '../cli/definition.ts';
import type { Invocation } from '../cli/invocation.ts';
import { parseSize } from '../cli/size.ts';
import { VsimgError } from '../errors.ts';
import type { DataSource } from '../storage/transfer.ts';

/** Data that stands on the command line. */
export const INLINE_OPTIONS: readonly OptionDefinition[] = [
  { name: 'data', value: 'TEXT', description: 'write TEXT, in UTF-8' },
  { name: 'hex', value: 'DIGITS', description: 'write bytes of two hexadecimal digits each' },
  {
    short: 'P',
    name: 'pattern',
    value: 'BYTE',
    description: 'write one byte (0 to 255) over and over; needs --length',
  },
];

/** Undefined if no such data is given. Errors: 'usage'. */
export function inlineSource(args: Invocation, lengthBytes: number | undefined): DataSource | undefined {
  const [data, hex, pattern] = [args.value('data'), args.value('hex'), args.value('pattern')];
  if (data !== undefined) return bytesSource(Buffer.from(data, 'utf8'));
  if (hex !== undefined) return bytesSource(parseHex(hex));
  return pattern === undefined ? undefined : patternSource(parseByte(pattern), lengthBytes ?? 0);
}

function parseHex(digits: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/i.test(digits))
    throw new VsimgError('usage', '--hex is not made of pairs of hexadecimal digits', { hint: 'give such as 00ff7f' });
  return Buffer.from(digits, 'hex');
}

function parseByte(text: string): number {
  const byte = parseSize(text, '--pattern');
  if (byte > 255)
    throw new VsimgError('usage', `--pattern ${byte} is no byte`, { hint: 'give 0 to 255, or 0x0 to 0xff' });
  return byte;
}

function bytesSource(bytes: Uint8Array): DataSource {
  return {
    sizeBytes: bytes.length,
    async *pieces(maxPieceBytes) {
      for (let start = 0; start < bytes.length; start += maxPieceBytes)
        yield { kind: 'data', start, bytes: bytes.subarray(start, start + maxPieceBytes) };
    },
    close: () => undefined,
  };
}

function patternSource(byte: number, sizeBytes: number): DataSource {
  return {
    sizeBytes,
    async *pieces(maxPieceBytes) {
      const bytes = new Uint8Array(Math.min(maxPieceBytes, sizeBytes)).fill(byte);
      for (let start = 0; start < sizeBytes; start += bytes.length)
        yield { kind: 'data', start, bytes: bytes.subarray(0, sizeBytes - start) };
    },
    close: () => undefined,
  };
}
