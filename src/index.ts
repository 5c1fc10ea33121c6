/** The library: open or make a container, then work with its `Image`. */
export { type ErrorCode, EXIT_STATUS, VsimgError, type VsimgErrorDetails } from './errors.ts';
export type {
  AmendOptions,
  BlameRange,
  CalendarSpan,
  CheckFinding,
  CheckReport,
  CommitOptions,
  Compression,
  CreateOptions,
  DiffRange,
  DiskPart,
  ForgetOptions,
  ForgetReport,
  GcReport,
  HeadInfo,
  HeatCell,
  HeatMap,
  HeatOptions,
  HeatRow,
  HeldSpace,
  ImageInfo,
  KeepPolicy,
  LastWriter,
  LostRange,
  OnProgress,
  PlacedRange,
  ReclaimReport,
  Ref,
  RepairReport,
  SpaceInfo,
  SpaceUsage,
  SquashOptions,
  SquashReport,
  UnreadableRange,
  VersionInfo,
  VersionUsage,
  WriteReport,
} from './image/api.ts';
export { createImageFile, type OpenFileOptions, openImageFile } from './image/file.ts';
export { Image } from './image/image.ts';
export { openSeedTarget, type SeedTargetOptions } from './storage/seed-target.ts';
export { type FileSourceOptions, openFileSource, streamSource } from './storage/source.ts';
export { type FileTargetOptions, openFileTarget, streamTarget } from './storage/target.ts';
export type { DataSource, DataTarget, Piece } from './storage/transfer.ts';
