const SHARED_ZERO_BYTES = 65_536;

const zeros: Uint8Array = new Uint8Array(SHARED_ZERO_BYTES);

/**
 * A view of `lengthBytes` zeros (at most 64 KiB) for writing. It is shared by everybody: never write into it.
 */
export function zeroBytes(lengthBytes: number): Uint8Array {
  return zeros.subarray(0, Math.min(lengthBytes, SHARED_ZERO_BYTES));
}

/** True if every byte is zero; an empty array counts as zero. */
export function isZero(bytes: Uint8Array): boolean {
  const length = bytes.length;
  if (length === 0) return true;
  // Data that is not zero nearly always shows it in one of these, and looking costs a tenth of a call into memcmp.
  if (bytes[0] !== 0 || bytes[length - 1] !== 0 || bytes[length >>> 1] !== 0) return false;
  if (length <= SHARED_ZERO_BYTES) return Buffer.compare(bytes, zeros.subarray(0, length)) === 0;
  for (let start = 0; start < length; start += SHARED_ZERO_BYTES) {
    const part = bytes.subarray(start, Math.min(start + SHARED_ZERO_BYTES, length));
    if (Buffer.compare(part, part.length === SHARED_ZERO_BYTES ? zeros : zeros.subarray(0, part.length)) !== 0)
      return false;
  }
  return true;
}
