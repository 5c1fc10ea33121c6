/** The shapes that cross the border between the engine and its front ends. */

import type { Compression } from '../format/header.ts';

export type { Compression } from '../format/header.ts';

export interface CreateOptions {
  /** Size of the virtual disk in bytes; any number from 0 to 2^53 - 1. */
  readonly sizeBytes: number;
  /** Smallest unit of the map in bytes: a power of two from 512 to 65536. Default 4096. */
  readonly blockSizeBytes?: number;
  /** Default zstd level 2. */
  readonly compression?: Compression;
  /** 16 bytes; default random. For byte-identical containers. */
  readonly imageId?: Uint8Array;
}

/** Called now and then during long work; `totalBytes` is undefined while unknown. Must be cheap. */
export type OnProgress = (doneBytes: number, totalBytes: number | undefined) => void;

export interface VersionInfo {
  /** Version number: 1, 2, 3 ... in time order, never used twice. */
  readonly number: number;
  /** 32 hex digits. */
  readonly id: string;
  /** The version it was made from (the nearest one that still exists), or null for a first version. */
  readonly parent: number | null;
  readonly parentId: string | null;
  /** The next version in time order that still exists, or null for the newest. */
  readonly next: number | null;
  readonly sizeBytes: number;
  /** Seconds since 1970. */
  readonly timeSeconds: number;
  readonly message: string;
  /** The one it was made with, which its id is over; null if that is still its message. */
  readonly firstMessage: string | null;
  /** True if it must not be removed. */
  readonly isLocked: boolean;
  readonly tags: readonly string[];
  readonly branches: readonly string[];
  /** True if the working state was made from this version. */
  readonly isHead: boolean;
}

export interface Ref {
  readonly name: string;
  readonly kind: 'tag' | 'branch';
  readonly version: number;
}

export interface HeadInfo {
  /** Branch the next commit moves, or null when detached. */
  readonly branch: string | null;
  /** Version the working state was made from, or null before the first commit. */
  readonly version: number | null;
  /** True if the working state differs from that version; null if damage keeps that from being told. */
  readonly dirty: boolean | null;
  readonly workingSizeBytes: number;
}

export interface SpaceInfo {
  /** Length of the container file. */
  readonly fileBytes: number;
  /** What the file takes on its file system. */
  readonly allocatedBytes: number;
  /** Stored (possibly compressed) guest data, in bytes. */
  readonly dataBytes: number;
  /** Slots, maps, tables: everything that is neither data nor free. */
  readonly metadataBytes: number;
  /** Free for reuse now or after the next publications. */
  readonly freeBytes: number;
  /** What the file lacks of the length that its header says: it was cut. */
  readonly missingBytes: number;
}

export interface ImageInfo {
  /** Size of the working state in bytes. */
  readonly sizeBytes: number;
  /** 32 hex digits, made at `create`. */
  readonly imageId: string;
  readonly formatVersion: number;
  readonly features: {
    readonly compatible: readonly string[];
    readonly readOnlyCompatible: readonly string[];
    readonly incompatible: readonly string[];
  };
  readonly blockSizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly compression: Compression;
  /** Counts publications. */
  readonly generation: number;
  readonly versionCount: number;
  readonly head: HeadInfo;
  readonly space: SpaceInfo;
}

/** `data`: B holds data there; `zero`: A held data, B reads as zeros; `hole`: only one of them reaches so far, without data in B. */
export interface DiffRange {
  readonly start: number;
  readonly length: number;
  readonly kind: 'data' | 'zero' | 'hole';
}

/** What changed a range last: a version, null for uncommitted changes, 0 if it is as the first version began, never written. */
export type LastWriter = number | null;

/** A part of one state of the disk: `rev` null is the working state; without `end` it goes to the end of the disk. */
export interface DiskPart {
  readonly rev: string | null;
  readonly start: number;
  readonly end?: number | undefined;
}

/** A range with what the one that changed it last made of it. */
export interface BlameRange {
  readonly start: number;
  readonly length: number;
  readonly kind: 'data' | 'zero';
  readonly version: LastWriter;
}

/** `lost`: given up by a repair; reading it is an error. */
export interface PlacedRange {
  readonly start: number;
  readonly length: number;
  readonly kind: 'data' | 'zero' | 'lost';
  readonly version: LastWriter;
  readonly isCompressed: boolean;
  /** Where the bytes lie in the container, one behind the other as they are; undefined where they do not. */
  readonly hostOffset: number | undefined;
}

/** What a stretch of the disk shows in a picture: the newest version that changed something in it. */
export interface HeatCell {
  readonly version: LastWriter;
  /** 'zero': that version only made zeros there. */
  readonly kind: 'data' | 'zero';
}

/** One state of the disk, cut into stretches of equal length; undefined where nothing was written, or behind its end. */
export interface HeatRow {
  readonly version: number | null;
  readonly cells: readonly (HeatCell | undefined)[];
}

export interface HeatOptions {
  readonly columnCount: number;
  /** Newest states that get a row. */
  readonly rowCount: number;
}

/** Newest first. */
export interface HeatMap {
  readonly start: number;
  readonly end: number;
  readonly rows: readonly HeatRow[];
}

export interface CommitOptions {
  readonly message: string;
  readonly tag?: string;
  readonly allowEmpty?: boolean;
  /** Seconds since 1970; default now, or SOURCE_DATE_EPOCH as the front end decides. */
  readonly timeSeconds: number;
}

export interface AmendOptions {
  /** At most 15 KiB, unless it is the first one again. */
  readonly message?: string;
  /** Tags to add. */
  readonly tags?: readonly string[];
}

export interface SquashOptions {
  /** Nothing is removed. */
  readonly dryRun?: boolean;
}

export interface SquashReport {
  /** The version that took in what lay between; as it is now. */
  readonly version: VersionInfo;
  /** Those that are gone, newest first; as they were. */
  readonly removed: readonly VersionInfo[];
}

/** Counts of the calendar, which seconds cannot say: a month before March 31st is March 3rd, or 2nd in a leap year. */
export interface CalendarSpan {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: number;
}

/** Which versions `forget` keeps: those that any rule names. The counts may be Infinity; 0 is as if there were no such rule. */
export interface KeepPolicy {
  readonly last?: number;
  /** For so many hours, days, weeks (from Monday), months and years of UTC that have versions, the newest version of each. */
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  /** All that are younger, measured from the newest one that is not in the future. */
  readonly within?: CalendarSpan;
  /** Names of tags; `*` stands for any characters and `?` for one. */
  readonly tags?: readonly string[];
}

export interface ForgetOptions {
  readonly dryRun?: boolean;
  /** Seconds since 1970. */
  readonly nowSeconds: number;
}

export interface ForgetReport {
  /** Newest first, with at least one reason each, such as 'daily', 'within 7d', 'tag v1', 'branch main', 'locked', 'HEAD'. */
  readonly kept: readonly { readonly number: number; readonly reasons: readonly string[] }[];
  /** Newest first, as they were. */
  readonly removed: readonly VersionInfo[];
}

export interface WriteReport {
  /** Guest bytes asked for. */
  readonly requestedBytes: number;
  /** Guest bytes newly stored, before compression. */
  readonly storedBytes: number;
  /** Guest bytes that already held that data. */
  readonly unchangedBytes: number;
  /** Guest bytes that became holes or were zeros. */
  readonly zeroBytes: number;
}

export interface GcReport {
  readonly dryRun: boolean;
  readonly fileBytesBefore: number;
  readonly fileBytesAfter: number;
  readonly reclaimedBytes: number;
}

/** Stored bytes of guest data, and of the pages and tables that lead to them. */
export interface HeldSpace {
  readonly dataBytes: number;
  readonly metadataBytes: number;
}

/** What a version holds that nothing else needs. */
export interface VersionUsage extends HeldSpace {
  readonly number: number;
}

/** Who needs what is stored. All `dataBytes` here come to those of `SpaceInfo`; of metadata only the pages of maps are counted. */
export interface SpaceUsage {
  /** Ascending. */
  readonly versions: readonly VersionUsage[];
  /** What only the working state needs. */
  readonly working: HeldSpace;
  /** What more than one version, or a version and the working state, need. */
  readonly shared: HeldSpace;
  readonly unneededDataBytes: number;
}

export interface ReclaimReport {
  readonly versions: readonly number[];
  /** All that gc gives back when these versions are deleted. Metadata are 0 where the pages written for that take more. */
  readonly reclaimed: HeldSpace;
  /** What of it gc gives back already, without deleting anything. */
  readonly reclaimable: HeldSpace;
  /** Length of the file now, and after deleting and gc. */
  readonly fileBytesBefore: number;
  readonly fileBytesAfter: number;
}

export interface CheckReport {
  /** What is damaged or wrong, each one line; at most some hundreds. */
  readonly errors: readonly CheckFinding[];
  /** Errors in all, also those that are not listed. */
  readonly errorCount: number;
  /** What kept a part from being checked: the disk itself fails to read. Null if nothing did. */
  readonly diskError: string | null;
  /** What cannot be read any more, by range of the disk; at most a thousand. */
  readonly lost: readonly LostRange[];
  /** False when more is lost than is listed. */
  readonly isLostComplete: boolean;
  /** A header slot that is damaged or out of date, or null: the next write mends it; the other one is in use. */
  readonly damagedSlot: 'first' | 'second' | null;
  /** Space that nothing refers to and that is not listed as free. */
  readonly leakedBytes: number;
  /** Metadata of deleted versions that the next gc gives back; not an error. */
  readonly reclaimableBytes: number;
  readonly pagesChecked: number;
  readonly segmentsChecked: number;
  /** Stored data bytes verified; 0 without `data`. */
  readonly dataBytesChecked: number;
  readonly versionsChecked: number;
}

export interface CheckFinding {
  readonly message: string;
  readonly hostOffset?: number;
  readonly version?: number;
  readonly guestOffset?: number;
  readonly lengthBytes?: number;
}

/** A range of the disk that reading gives an error for. */
export interface LostRange {
  readonly guestOffset: number;
  readonly lengthBytes: number;
  /** Runs of version numbers, first and last, in which it is lost. */
  readonly versions: readonly (readonly [number, number])[];
  /** In the working state too. */
  readonly working: boolean;
}

export interface RepairReport {
  /** What was done, each one line; nothing for an image without defects. */
  readonly actions: readonly string[];
}

/** A range that could not be read, and why. */
export interface UnreadableRange {
  readonly guestOffset: number;
  readonly lengthBytes: number;
  readonly message: string;
}
