import { MAGIC } from './protocol.ts';

/** Layout of a request: magic (4), flags (2), command (2), cookie (8), offset (8), length (4). */
export const REQUEST_BYTES = 28;

export interface Request {
  /** Of COMMAND_FLAG. */
  readonly flags: number;
  /** Of COMMAND. */
  readonly command: number;
  /** Both halves of what the client knows the request by. */
  readonly cookie: { readonly high: number; readonly low: number };
  /** Infinite for an offset that no disk reaches. */
  readonly offset: number;
  readonly lengthBytes: number;
}

/** Undefined for what is no request. */
export function decodeRequest(bytes: Buffer): Request | undefined {
  if (bytes.readUInt32BE(0) !== MAGIC.request) return undefined;
  const high = bytes.readUInt32BE(16);
  return {
    flags: bytes.readUInt16BE(4),
    command: bytes.readUInt16BE(6),
    cookie: { high: bytes.readUInt32BE(8), low: bytes.readUInt32BE(12) },
    offset: high < 0x20_0000 ? high * 0x1_0000_0000 + bytes.readUInt32BE(20) : Number.POSITIVE_INFINITY,
    lengthBytes: bytes.readUInt32BE(24),
  };
}
