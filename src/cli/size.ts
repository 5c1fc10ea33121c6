import { VsimgError } from '../errors.ts';

const UNIT_POWERS = new Map([
  ['', 0n],
  ['k', 1n],
  ['m', 2n],
  ['g', 3n],
  ['t', 4n],
  ['p', 5n],
  ['e', 6n],
]);
const UNIT_NAMES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
const LARGEST = BigInt(Number.MAX_SAFE_INTEGER);
const DECIMAL = /^(\d{1,40})(?:\.(\d{1,40}))?(?:([kmgtpe])(ib)?|b)?$/i;
const HEXADECIMAL = /^0x([0-9a-f]{1,40})$/i;
const AMBIGUOUS = /^[\d.]+[kmgtpe]b$/i;
const FORMS = 'sizes are written like 512, 4k, 1.5G, 1GiB or 0x1000';

function badSize(text: string, what: string, why: string, hint: string): VsimgError {
  return new VsimgError('usage', `${what} '${text}' ${why}`, { hint });
}

/**
 * Bytes of a size as the user writes it: `512`, `4k`, `1.5G`, `1GiB`, `0x1000`; units are powers of 1024.
 * The result is exact. `what` names the argument in the error.
 * @throws VsimgError 'usage' for anything else, for a part of a byte and from 2^53 on.
 */
export function parseSize(text: string, what: string): number {
  const bytes = parseHexadecimal(text) ?? parseDecimal(text, what);
  if (bytes > LARGEST) {
    throw badSize(text, what, 'is too large', 'the largest size is 9007199254740991 bytes (8 PiB - 1)');
  }
  return Number(bytes);
}

function parseHexadecimal(text: string): bigint | undefined {
  return HEXADECIMAL.test(text) ? BigInt(text) : undefined;
}

function parseDecimal(text: string, what: string): bigint {
  const match = DECIMAL.exec(text);
  if (match === null) {
    if (AMBIGUOUS.test(text)) {
      throw badSize(
        text,
        what,
        'could mean powers of 1000 or of 1024',
        `write ${text.slice(0, -1)} for powers of 1024`,
      );
    }
    throw badSize(text, what, 'is not a size', FORMS);
  }
  const [, whole = '', fraction = '', unit = ''] = match;
  const power = UNIT_POWERS.get(unit.toLowerCase()) ?? 0n;
  const denominator = 10n ** BigInt(fraction.length);
  const numerator = BigInt(whole + fraction) * 1024n ** power;
  if (numerator % denominator !== 0n) {
    throw badSize(text, what, 'is not a whole number of bytes', 'give it in a smaller unit');
  }
  return numerator / denominator;
}

/** A byte count for people, three digits and a unit: `204 KiB`, `1.21 GiB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // From 1000 on the next unit is taken, so that three digits always say it.
  while (value >= 999.5 && unit < UNIT_NAMES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 ? String(value) : String(Number(value.toPrecision(3)));
  return `${digits} ${UNIT_NAMES[unit] ?? 'B'}`;
}

/** `1.21 GiB (1299227607 bytes)`, or just `512 B` where the number says it all. */
export function formatExactSize(bytes: number): string {
  return bytes < 1000 ? formatSize(bytes) : `${formatSize(bytes)} (${bytes} bytes)`;
}
