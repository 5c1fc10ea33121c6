/**
 * The numbers of the Network Block Device protocol: doc/proto.md of the NetworkBlockDevice project, whose names they have.
 * All integers on the wire are unsigned and big-endian.
 */

export const MAGIC = {
  /** 'NBDMAGIC' */
  start: 0x4e42444d41474943n,
  /** 'IHAVEOPT' */
  option: 0x49484156454f5054n,
  optionReply: 0x0003e889045565a9n,
  request: 0x25609513,
  simpleReply: 0x67446698,
  structuredReply: 0x668e33ef,
} as const;

/** Sent by the server before anything else. */
export const HANDSHAKE_FLAG = { fixedNewstyle: 1, noZeroes: 2 } as const;
/** The client's answer; the same bits. */
export const CLIENT_FLAG = HANDSHAKE_FLAG;

export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: 0x80000001,
  policy: 0x80000002,
  invalid: 0x80000003,
  tlsRequired: 0x80000005,
  unknown: 0x80000006,
  shutdown: 0x80000007,
  tooBig: 0x80000009,
} as const;
export type OptionReplyType = (typeof OPTION_REPLY)[keyof typeof OPTION_REPLY];

/** Items of information on an export. */
export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const TRANSMISSION_FLAG = {
  hasFlags: 1,
  readOnly: 2,
  sendFlush: 4,
  sendFua: 8,
  sendTrim: 32,
  sendWriteZeroes: 64,
  sendDf: 128,
  canMultiConn: 256,
  sendCache: 1024,
  sendFastZero: 2048,
} as const;

export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const COMMAND_FLAG = { fua: 1, noHole: 2, dontFragment: 4, requestOne: 8, fastZero: 16 } as const;

export const CHUNK_FLAG_DONE = 1;
export const CHUNK = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** The protocol's own numbers, whatever the system calls them. */
export const NBD_ERROR = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;
export type NbdError = (typeof NBD_ERROR)[keyof typeof NBD_ERROR];

/** Of the context `base:allocation`. */
export const ALLOCATION = { hole: 1, zero: 2 } as const;
export const BASE_ALLOCATION = 'base:allocation';

/** Longest string there is: names, descriptions, queries. */
export const MAX_STRING_BYTES = 4096;
/** Longest data of an option that is looked at; the longest request for contexts of a sensible client is far below. */
export const MAX_OPTION_BYTES = 65_536;
/** Longest data of one request; clients that are told no limit keep to this one. */
export const MAX_PAYLOAD_BYTES = 32 * 1024 * 1024;
