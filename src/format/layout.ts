/**
 * Where things are in a container, each position derived from the one before:
 *
 *   0      slot A: a whole header
 *   4096   slot B: the same header again
 *   8192   records (chunks, chunk tables, tree pages), at byte granularity, in no order
 *   end    what lies behind `end` of the newest header belongs to nobody
 *
 * Locks are byte ranges far behind any data.
 */

export const SLOT_BYTES = 4096;
export const SLOT_A_OFFSET = 0;
export const SLOT_B_OFFSET = SLOT_A_OFFSET + SLOT_BYTES;
export const RECORDS_OFFSET = SLOT_B_OFFSET + SLOT_BYTES;

/** Byte 0x89 catches 7-bit transfers, CR LF and LF catch newline conversion, 0x1a stops `type`. */
export const MAGIC = Uint8Array.of(0x89, 0x56, 0x53, 0x49, 0x0d, 0x0a, 0x1a, 0x0a);

/** Frozen: what changes the meaning of a byte needs a feature flag, or another version beside this one. */
export const FORMAT_VERSION = 1;

/** Containers end below this; the locks lie above it, at positions that are exact as numbers. */
export const MAX_CONTAINER_BYTES = 2 ** 51;
export const WRITER_LOCK_OFFSET = MAX_CONTAINER_BYTES;
/** A long reader of generation g holds byte `READER_LOCKS_OFFSET + g`. */
export const READER_LOCKS_OFFSET = WRITER_LOCK_OFFSET + 2 ** 20;
export const MAX_GENERATION = 2 ** 48;

export const MIN_BLOCK_BYTES = 512;
export const MAX_BLOCK_BYTES = 65536;
export const DEFAULT_BLOCK_BYTES = 4096;
/** Raw bytes of one chunk, the unit of compression. */
export const CHUNK_BYTES = 65536;
/** Raw bytes of a full segment. */
export const SEGMENT_BYTES = 4 * 1024 * 1024;

/** Pages split when their encoding would be longer; a single entry may make a page longer, up to `MAX_PAGE_BYTES`. */
export const EXTENT_PAGE_BYTES = 384;
/** Changes to free space are scattered: few large pages are written for them instead of many small ones. */
export const SPACE_PAGE_BYTES = 2048;
export const RECORD_PAGE_BYTES = 640;
export const MAX_PAGE_BYTES = 65536;
/** Levels of a tree, leaf included: 2^53 entries at two a page need 53. */
export const MAX_TREE_LEVELS = 54;
/** A tree whose only page is at most this long lives inside the record that refers to it. */
export const INLINE_ROOT_BYTES = 192;
export const MAX_TABLE_BYTES = 1024 * 1024;
