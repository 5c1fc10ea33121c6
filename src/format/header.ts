import { corrupt, VsimgError } from '../errors.ts';
import { MAX_BLOCKS } from './extent-page.ts';
import { Fields, withRest } from './fields.ts';
import {
  FORMAT_VERSION,
  MAX_BLOCK_BYTES,
  MAX_CONTAINER_BYTES,
  MIN_BLOCK_BYTES,
  RECORDS_OFFSET,
  SLOT_BYTES,
} from './layout.ts';
import { type Document, decodeDocument, encodeDocument } from './msgpack.ts';
import { rootToValue, type TreeRoot } from './page.ts';

export type Compression = { readonly codec: 'none' } | { readonly codec: 'zstd'; readonly level: number };

/** Names of optional parts of the format, in the three classes that ext4 and qcow2 have. */
export interface Features {
  /** Unknown ones do no harm. */
  readonly compatible: readonly string[];
  /** With an unknown one, the container may be read but not written. */
  readonly readOnlyCompatible: readonly string[];
  /** With an unknown one, the container can not be understood. */
  readonly incompatible: readonly string[];
}

export const NO_FEATURES: Features = { compatible: [], readOnlyCompatible: [], incompatible: [] };
const KNOWN: Features = NO_FEATURES;

export const MAX_RESERVE_RANGES = 16;

/** A byte range of the container, `[start, end)`. */
export interface HostRange {
  readonly start: number;
  readonly end: number;
}

/** Names of the trees whose roots the header holds. */
export const TREE_NAMES = ['versions', 'children', 'refs', 'marks', 'log'] as const;
export type TreeName = (typeof TREE_NAMES)[number];

/** All that a container says about itself; msgpack, in both slots. */
export interface Header {
  readonly features: Features;
  /** 16 bytes. */
  readonly imageId: Uint8Array;
  readonly blockBytes: number;
  readonly compression: Compression;
  /** Number the next version gets. */
  readonly nextVersion: number;
  readonly versionCount: number;
  /** Versions deleted since the last gc: their pages are neither in use nor listed as free yet. */
  readonly unreclaimed: number;
  /** Branch that the next commit moves, or null; version the working state came from, or null. */
  readonly head: { readonly branch: string | null; readonly version: number | null };
  readonly working: {
    readonly sizeBytes: number;
    readonly map: TreeRoot;
    /** Map pages written in a later generation belong to the working state alone. */
    readonly sharedGeneration: number;
  };
  readonly log: {
    readonly next: number;
    readonly youngMark: number;
    readonly dataBytes: number;
    readonly deadBlocks: number;
  };
  readonly trees: { readonly [name in TreeName]: TreeRoot };
  readonly space: {
    readonly free: TreeRoot;
    readonly bySize: TreeRoot;
    readonly pending: TreeRoot;
    /** Free ranges set aside for the pages of the three trees; at most `MAX_RESERVE_RANGES`, apart from each other. */
    readonly reserve: readonly HostRange[];
    readonly end: number;
    readonly freeBytes: number;
    readonly pendingBytes: number;
  };
  /** Fields that this program does not know, also those within the maps above: whoever writes the header again keeps them. */
  readonly unknown?: Document;
}

export function encodeHeader(header: Header): Uint8Array {
  const { space, working } = header;
  const known = {
    format: FORMAT_VERSION,
    compatible: header.features.compatible,
    'read-only-compatible': header.features.readOnlyCompatible,
    incompatible: header.features.incompatible,
    id: header.imageId,
    'block-size': header.blockBytes,
    compression: header.compression.codec,
    level: header.compression.codec === 'zstd' ? header.compression.level : 0,
    'next-version': header.nextVersion,
    'version-count': header.versionCount,
    unreclaimed: header.unreclaimed,
    branch: header.head.branch,
    head: header.head.version,
    working: { size: working.sizeBytes, map: rootToValue(working.map), 'shared-generation': working.sharedGeneration },
    log: {
      next: header.log.next,
      'young-mark': header.log.youngMark,
      'data-bytes': header.log.dataBytes,
      'dead-blocks': header.log.deadBlocks,
    },
    trees: Object.fromEntries(TREE_NAMES.map((name) => [name, rootToValue(header.trees[name])])),
    space: {
      free: rootToValue(space.free),
      'by-size': rootToValue(space.bySize),
      pending: rootToValue(space.pending),
      reserve: space.reserve.flatMap(({ start, end }) => [start, end]),
      end: space.end,
      'free-bytes': space.freeBytes,
      'pending-bytes': space.pendingBytes,
    },
  };
  return encodeDocument(withRest(known, header.unknown));
}

/** Errors: 'corrupt', or 'unsupported' when the container needs what this program does not have. */
export function decodeHeader(bytes: Uint8Array, where: string): Header {
  const fields = new Fields(decodeDocument(bytes, where), where);
  const format = fields.count('format');
  if (format !== FORMAT_VERSION) {
    throw new VsimgError(
      'unsupported',
      `${where}: is in format version ${format}, this program knows ${FORMAT_VERSION}`,
      { hint: 'use a newer vsimg' },
    );
  }
  const features = {
    compatible: fields.labels('compatible'),
    readOnlyCompatible: fields.labels('read-only-compatible'),
    incompatible: fields.labels('incompatible'),
  };
  const feature = features.incompatible.find((name) => !KNOWN.incompatible.includes(name));
  if (feature !== undefined)
    throw new VsimgError('unsupported', `${where}: needs the feature '${feature}'`, { hint: 'use a newer vsimg' });
  const blockBytes = fields.count('block-size', MAX_BLOCK_BYTES);
  if (blockBytes < MIN_BLOCK_BYTES || (blockBytes & (blockBytes - 1)) !== 0) fields.fail('block-size');
  const working = fields.child('working');
  const log = fields.child('log');
  const trees = fields.child('trees');
  const space = fields.child('space');
  const header: Header = {
    features,
    imageId: fields.bytes('id', 16),
    blockBytes,
    compression: readCompression(fields),
    nextVersion: fields.count('next-version'),
    versionCount: fields.count('version-count'),
    unreclaimed: fields.count('unreclaimed'),
    head: { branch: fields.labelOrNull('branch'), version: fields.countOrNull('head') },
    working: {
      sizeBytes: working.count('size'),
      map: working.root('map'),
      sharedGeneration: working.count('shared-generation'),
    },
    log: {
      next: log.count('next'),
      youngMark: log.count('young-mark'),
      dataBytes: log.count('data-bytes'),
      deadBlocks: log.count('dead-blocks'),
    },
    trees: {
      versions: trees.root('versions'),
      children: trees.root('children'),
      refs: trees.root('refs'),
      marks: trees.root('marks'),
      log: trees.root('log'),
    },
    space: {
      free: space.root('free'),
      bySize: space.root('by-size'),
      pending: space.root('pending'),
      reserve: readReserve(space),
      end: space.count('end'),
      freeBytes: space.count('free-bytes'),
      pendingBytes: space.count('pending-bytes'),
    },
  };
  checkNumbers(header, where);
  const unknown = fields.rest();
  return unknown === undefined ? header : { ...header, unknown };
}

/** What the engine takes for granted when it writes: no number leads into the slots or out of what addresses can hold. */
function checkNumbers(header: Header, where: string): void {
  const { reserve, end } = header.space;
  const isReserveInside = reserve.every(
    (range) => range.start >= RECORDS_OFFSET && range.start <= range.end && range.end <= end,
  );
  if (end < RECORDS_OFFSET || end > MAX_CONTAINER_BYTES || !isReserveInside)
    throw corrupt(`${where}: its space is malformed`);
  if (header.log.next > MAX_BLOCKS || header.log.youngMark > header.log.next)
    throw corrupt(`${where}: its log is malformed`);
}

function readReserve(space: Fields): HostRange[] {
  const bounds = space.counts('reserve', 2 * MAX_RESERVE_RANGES);
  if (bounds.length % 2 !== 0) space.fail('reserve');
  return Array.from({ length: bounds.length / 2 }, (_, index) => ({
    start: bounds[2 * index] as number,
    end: bounds[2 * index + 1] as number,
  }));
}

function readCompression(fields: Fields): Compression {
  const codec = fields.text('compression');
  const level = fields.count('level', 22);
  if (codec === 'none') return { codec };
  if (codec === 'zstd') return { codec, level };
  return fields.fail('compression');
}

/** Refuses a container that this program can read but must not write. Errors: 'unsupported'. */
export function refuseUnwritable(header: Header, where: string): void {
  const feature = header.features.readOnlyCompatible.find((name) => !KNOWN.readOnlyCompatible.includes(name));
  if (feature !== undefined) {
    throw new VsimgError('unsupported', `${where}: writing it needs the feature '${feature}'`, {
      hint: 'use a newer vsimg; reading works',
    });
  }
  const foreign = foreignBytes(header);
  if (foreign > MAX_FOREIGN_BYTES) {
    throw new VsimgError(
      'unsupported',
      `${where}: its header has ${foreign} bytes of fields and features that this program does not know; there is room to keep ${MAX_FOREIGN_BYTES}`,
      { hint: 'use a newer vsimg; reading works' },
    );
  }
}

/** What names of features and unknown fields add to the header. */
function foreignBytes(header: Header): number {
  const { unknown, ...known } = header;
  if (unknown === undefined && Object.values(header.features).every((names) => names.length === 0)) return 0;
  return encodeHeader(header).length - encodeHeader({ ...known, features: NO_FEATURES }).length;
}

export const MAX_HEADER_BYTES = SLOT_BYTES - 24;
/** What the rest of a header takes at most leaves room for so much that is kept without being understood. */
export const MAX_FOREIGN_BYTES = 1024;
