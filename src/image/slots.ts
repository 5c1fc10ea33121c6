import { SLOT_A_OFFSET, SLOT_B_OFFSET, SLOT_BYTES } from '../format/layout.ts';
import { type ReadSlotsOptions, readSlots, type Slots } from '../format/slot.ts';
import type { Storage } from '../storage/storage.ts';

/** Readings of both slots that differ from each other before the container counts as damaged. */
const MAX_SLOT_READINGS = 100;

/** A reader may meet slot A half-written and, after a pause, slot B too: only what stays as it is is damaged. */
export function readBothSlots(storage: Storage, options: ReadSlotsOptions = {}): Slots {
  let bytes = slotBytes(storage);
  for (let reading = 1; ; reading++) {
    try {
      const [a, b] = [bytes.subarray(SLOT_A_OFFSET, SLOT_B_OFFSET), bytes.subarray(SLOT_B_OFFSET)];
      return readSlots(a, b, storage.name, options);
    } catch (error) {
      const before = bytes;
      bytes = slotBytes(storage);
      if (reading === MAX_SLOT_READINGS || Buffer.compare(before, bytes) === 0) throw error;
    }
  }
}

function slotBytes(storage: Storage): Uint8Array {
  const bytes = new Uint8Array(2 * SLOT_BYTES);
  return bytes.subarray(0, storage.read(bytes, SLOT_A_OFFSET));
}
