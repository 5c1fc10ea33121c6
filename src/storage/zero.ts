const SHARED_ZERO_BYTES = 65_536;

const PROBES = 8;

const zeros: Uint8Array = new Uint8Array(SHARED_ZERO_BYTES);

/**
 * A view of `lengthBytes` zeros (at most 64 KiB) for writing. It is shared by everybody: never write into it.
 */
export function zeroBytes(lengthBytes: number): Uint8Array {
  return zeros.subarray(0, Math.min(lengthBytes, SHARED_ZERO_BYTES));
}

/** True if every byte is zero; an empty array counts as zero. */
export function isZero(bytes: Uint8Array): boolean {
  return isZeroRange(bytes, 0, bytes.length);
}

/** The same for `[start, end)` of `bytes`. */
export function isZeroRange(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length <= 0) return true;
  // Data that is not zero nearly always shows it in one of these, and looking costs a tenth of a call into memcmp.
  for (let probe = 0; probe < PROBES; probe++)
    if (bytes[start + Math.floor((length * probe) / PROBES)] !== 0) return false;
  if (bytes[end - 1] !== 0) return false;
  for (let from = start; from < end; from += SHARED_ZERO_BYTES) {
    const part = bytes.subarray(from, Math.min(from + SHARED_ZERO_BYTES, end));
    if (Buffer.compare(part, part.length === SHARED_ZERO_BYTES ? zeros : zeros.subarray(0, part.length)) !== 0)
      return false;
  }
  return true;
}
