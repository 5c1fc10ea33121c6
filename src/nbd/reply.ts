import { CHUNK, CHUNK_FLAG_DONE, MAGIC, type NbdError } from './protocol.ts';
import type { Request } from './request.ts';

/** Layout of a simple reply: magic (4), error (4), cookie (8). */
const SIMPLE_BYTES = 16;
/** Layout of a chunk: magic (4), flags (2), type (2), cookie (8), bytes of the payload (4). */
const CHUNK_BYTES = 20;
const OFFSET_BYTES = 8;

type Cookie = Request['cookie'];

/** 'last': nothing else follows for the request. */
export type ChunkPosition = 'last' | 'more';

/** A run of one status in a context: `[length, status]`. */
export type StatusRun = readonly [lengthBytes: number, status: number];

/** A message with room for `dataBytes` of data at its end. */
export interface DataMessage {
  readonly bytes: Uint8Array;
  readonly data: Uint8Array;
}

/** The head of a simple reply, and room for what a read gives. */
export function simpleReply(cookie: Cookie, error: NbdError | 0, dataBytes = 0): DataMessage {
  const bytes = room(SIMPLE_BYTES + dataBytes);
  bytes.writeUInt32BE(MAGIC.simpleReply, 0);
  bytes.writeUInt32BE(error, 4);
  putCookie(bytes, 8, cookie);
  return { bytes, data: bytes.subarray(SIMPLE_BYTES) };
}

interface DataPart {
  readonly offset: number;
  readonly dataBytes: number;
  readonly position: ChunkPosition;
}

/** Room for `dataBytes` that were read at `offset`. */
export function dataChunk(cookie: Cookie, { offset, dataBytes, position }: DataPart): DataMessage {
  const payloadBytes = OFFSET_BYTES + dataBytes;
  const bytes = chunk(cookie, { type: CHUNK.offsetData, position, payloadBytes });
  putOffset(bytes, CHUNK_BYTES, offset);
  return { bytes, data: bytes.subarray(CHUNK_BYTES + OFFSET_BYTES) };
}

/** The same without the data, which must follow. */
export function dataChunkHead(cookie: Cookie, { offset, dataBytes, position }: DataPart): Uint8Array {
  const payloadBytes = OFFSET_BYTES + dataBytes;
  const bytes = chunk(cookie, { type: CHUNK.offsetData, position, payloadBytes, roomBytes: OFFSET_BYTES });
  putOffset(bytes, CHUNK_BYTES, offset);
  return bytes;
}

/** `lengthBytes` from `offset` on read as zeros. */
export function holeChunk(
  cookie: Cookie,
  {
    offset,
    lengthBytes,
    position,
  }: { readonly offset: number; readonly lengthBytes: number; readonly position: ChunkPosition },
): Uint8Array {
  const bytes = chunk(cookie, { type: CHUNK.offsetHole, position, payloadBytes: OFFSET_BYTES + 4 });
  putOffset(bytes, CHUNK_BYTES, offset);
  bytes.writeUInt32BE(lengthBytes, CHUNK_BYTES + OFFSET_BYTES);
  return bytes;
}

/** Nothing more, and no error. */
export function doneChunk(cookie: Cookie): Uint8Array {
  return chunk(cookie, { type: CHUNK.none, position: 'last', payloadBytes: 0 });
}

/** The request failed, at `offset` if that is known; always the last chunk. */
export function errorChunk(cookie: Cookie, error: NbdError, message: string, offset?: number): Uint8Array {
  const text = Buffer.from(message, 'utf8').subarray(0, 4096);
  const type = offset === undefined ? CHUNK.error : CHUNK.errorOffset;
  const payloadBytes = 6 + text.length + (offset === undefined ? 0 : OFFSET_BYTES);
  const bytes = chunk(cookie, { type, position: 'last', payloadBytes });
  bytes.writeUInt32BE(error, CHUNK_BYTES);
  bytes.writeUInt16BE(text.length, CHUNK_BYTES + 4);
  bytes.set(text, CHUNK_BYTES + 6);
  if (offset !== undefined) putOffset(bytes, CHUNK_BYTES + 6 + text.length, offset);
  return bytes;
}

export function statusChunk(
  cookie: Cookie,
  contextId: number,
  runs: readonly StatusRun[],
  position: ChunkPosition,
): Uint8Array {
  const bytes = chunk(cookie, { type: CHUNK.blockStatus, position, payloadBytes: 4 + runs.length * 8 });
  bytes.writeUInt32BE(contextId, CHUNK_BYTES);
  let at = CHUNK_BYTES + 4;
  for (const [lengthBytes, status] of runs) {
    bytes.writeUInt32BE(lengthBytes, at);
    bytes.writeUInt32BE(status, at + 4);
    at += 8;
  }
  return bytes;
}

interface ChunkHead {
  readonly type: number;
  readonly position: ChunkPosition;
  readonly payloadBytes: number;
  /** Of the payload: what has its place in the same piece of memory. */
  readonly roomBytes?: number;
}

function chunk(cookie: Cookie, { type, position, payloadBytes, roomBytes = payloadBytes }: ChunkHead): Buffer {
  const bytes = room(CHUNK_BYTES + roomBytes);
  bytes.writeUInt32BE(MAGIC.structuredReply, 0);
  bytes.writeUInt16BE(position === 'last' ? CHUNK_FLAG_DONE : 0, 4);
  bytes.writeUInt16BE(type, 6);
  putCookie(bytes, 8, cookie);
  bytes.writeUInt32BE(payloadBytes, 16);
  return bytes;
}

/** Memory for small messages is cut from pieces of this size: one of its own for each would keep the collector busy. */
const SLAB_BYTES = 512 * 1024;
let slab = Buffer.allocUnsafeSlow(0);

/** Long messages, of up to this size, get memory that is used again. */
const LONG_BYTES = 1024 * 1024 + 64;
const MAX_SPARES = 8;
const spares: Buffer[] = [];

function room(lengthBytes: number): Buffer {
  if (lengthBytes > SLAB_BYTES / 8) {
    if (lengthBytes > LONG_BYTES) return Buffer.allocUnsafeSlow(lengthBytes);
    return (spares.pop() ?? Buffer.allocUnsafeSlow(LONG_BYTES)).subarray(0, lengthBytes);
  }
  if (slab.length < lengthBytes) slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  const bytes = slab.subarray(0, lengthBytes);
  slab = slab.subarray(lengthBytes);
  return bytes;
}

/** To be called with a whole message when it has been sent, and nobody looks at it any more. */
export function giveBack(bytes: Uint8Array): void {
  const isLong = bytes.byteOffset === 0 && bytes.buffer.byteLength === LONG_BYTES;
  if (isLong && spares.length < MAX_SPARES) spares.push(Buffer.from(bytes.buffer));
}

function putCookie(bytes: Buffer, at: number, { high, low }: Cookie): void {
  bytes.writeUInt32BE(high, at);
  bytes.writeUInt32BE(low, at + 4);
}

function putOffset(bytes: Buffer, at: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), at);
  bytes.writeUInt32BE(offset % 0x1_0000_0000, at + 4);
}
