import { corrupt, VsimgError } from '../errors.ts';
import { checksum } from './checksum.ts';
import { decodeHeader, encodeHeader, type Header, MAX_HEADER_BYTES } from './header.ts';
import { MAGIC, MAX_GENERATION, SLOT_BYTES } from './layout.ts';

/**
 * One slot:
 *
 *   0    8  magic
 *   8    8  generation, little-endian
 *   16   4  length of the header in bytes, little-endian
 *   20   4  CRC-32 of bytes 0 to 19 and of the header
 *   24   -  the header (msgpack), then zeros up to 4096
 */
const GENERATION_AT = MAGIC.length;
const LENGTH_AT = GENERATION_AT + 8;
const CHECKSUM_AT = LENGTH_AT + 4;
const HEADER_AT = CHECKSUM_AT + 4;

/** A slot whose frame is whole; what the header says is not decoded yet. */
export interface Slot {
  readonly generation: number;
  readonly headerBytes: Uint8Array;
}

function slotChecksum(slot: Uint8Array, lengthBytes: number): number {
  const covered = new Uint8Array(CHECKSUM_AT + lengthBytes);
  covered.set(slot.subarray(0, CHECKSUM_AT));
  covered.set(slot.subarray(HEADER_AT, HEADER_AT + lengthBytes), CHECKSUM_AT);
  return checksum(covered);
}

export function encodeSlot(generation: number, header: Header): Uint8Array {
  const bytes = encodeHeader(header);
  if (generation > MAX_GENERATION)
    throw new VsimgError('unsupported', 'the image was published too often', {
      hint: 'export its versions into a new one',
    });
  if (bytes.length > MAX_HEADER_BYTES)
    throw new VsimgError('internal', `header of ${bytes.length} bytes does not fit a slot`);
  const slot = new Uint8Array(SLOT_BYTES);
  const view = new DataView(slot.buffer);
  slot.set(MAGIC);
  view.setBigUint64(GENERATION_AT, BigInt(generation), true);
  view.setUint32(LENGTH_AT, bytes.length, true);
  slot.set(bytes, HEADER_AT);
  view.setUint32(CHECKSUM_AT, slotChecksum(slot, bytes.length), true);
  return slot;
}

/** undefined for a slot that is damaged or was never written. */
export function readSlot(slot: Uint8Array): Slot | undefined {
  if (slot.length < SLOT_BYTES || !MAGIC.every((byte, index) => slot[index] === byte)) return undefined;
  const view = new DataView(slot.buffer, slot.byteOffset, SLOT_BYTES);
  const generation = view.getBigUint64(GENERATION_AT, true);
  const lengthBytes = view.getUint32(LENGTH_AT, true);
  if (generation > BigInt(MAX_GENERATION) || lengthBytes > MAX_HEADER_BYTES) return undefined;
  if (view.getUint32(CHECKSUM_AT, true) !== slotChecksum(slot, lengthBytes)) return undefined;
  return { generation: Number(generation), headerBytes: slot.slice(HEADER_AT, HEADER_AT + lengthBytes) };
}

export interface Slots {
  readonly generation: number;
  readonly header: Header;
  /** The slot that is damaged or older than the other, for a writer to mend; undefined when both are current. */
  readonly staleSlot: 'a' | 'b' | undefined;
}

export interface ReadSlotsOptions {
  /** The older slot will do if the newest holds a header that no writer made: for a repair. */
  readonly orOlder?: boolean;
}

/** The newest whole slot. Errors: 'corrupt' if none is whole or they are of two containers, 'unsupported'. */
export function readSlots(a: Uint8Array, b: Uint8Array, name: string, options: ReadSlotsOptions = {}): Slots {
  const [slotA, slotB] = [readSlot(a), readSlot(b)];
  const newest = slotA !== undefined && (slotB === undefined || slotA.generation >= slotB.generation) ? slotA : slotB;
  if (newest === undefined) {
    const looksRight = [a, b].some(
      (slot) => slot.length >= MAGIC.length && MAGIC.every((byte, index) => slot[index] === byte),
    );
    if (looksRight) {
      throw new VsimgError('corrupt', `${name}: both headers are damaged`, {
        hint: 'without one nothing can be found in it: use a copy of the file',
        hostOffset: 0,
      });
    }
    if (a.length === 0) {
      throw new VsimgError('corrupt', `${name}: is not an image of vsimg: it is empty`, {
        hint: 'remove it, and make a new one',
        hostOffset: 0,
      });
    }
    throw new VsimgError('corrupt', `${name}: is not an image of vsimg`, {
      hint: "make one with 'vsimg create' or 'vsimg import'",
      hostOffset: 0,
    });
  }
  const other = newest === slotA ? slotB : slotA;
  const stale = newest === slotA ? 'b' : 'a';
  let header: Header;
  try {
    header = decodeHeader(newest.headerBytes, `${name}: header`);
  } catch (error) {
    const isMalformed = error instanceof VsimgError && error.code === 'corrupt';
    if (options.orOlder !== true || other === undefined || !isMalformed) throw error;
    header = decodeHeader(other.headerBytes, `${name}: header`);
    return { generation: other.generation, header, staleSlot: newest === slotA ? 'a' : 'b' };
  }
  if (other !== undefined && Buffer.compare(other.headerBytes, newest.headerBytes) !== 0)
    checkSameImage(header, other, name);
  return {
    generation: newest.generation,
    header,
    staleSlot: other?.generation === newest.generation ? undefined : stale,
  };
}

/** Generations of two containers say nothing about each other: the greater one may be the stranger's. */
function checkSameImage(header: Header, other: Slot, name: string): void {
  let otherId: Uint8Array;
  try {
    otherId = decodeHeader(other.headerBytes, name).imageId;
  } catch (error) {
    // What a slot says that is not chosen means nothing.
    if (error instanceof VsimgError) return;
    throw error;
  }
  if (otherId.some((byte, index) => byte !== header.imageId[index]))
    throw corrupt(`${name}: its two headers are of different images`, 0);
}
