/** The library: open or make a container, then work with its `Image`. */
export { type ErrorCode, EXIT_STATUS, VsimgError, type VsimgErrorDetails } from './errors.ts';
export type {
  AmendOptions,
  CalendarSpan,
  CheckFinding,
  CheckReport,
  CommitOptions,
  Compression,
  CreateOptions,
  DiffRange,
  ForgetOptions,
  ForgetReport,
  GcReport,
  HeadInfo,
  ImageInfo,
  KeepPolicy,
  LostRange,
  OnProgress,
  Ref,
  RepairReport,
  SpaceInfo,
  SquashReport,
  UnreadableRange,
  VersionInfo,
  WriteReport,
} from './image/api.ts';
export { createImageFile, type OpenFileOptions, openImageFile } from './image/file.ts';
export { Image } from './image/image.ts';
export { openSeedTarget, type SeedTargetOptions } from './storage/seed-target.ts';
export { type FileSourceOptions, openFileSource, streamSource } from './storage/source.ts';
export { type FileTargetOptions, openFileTarget, streamTarget } from './storage/target.ts';
export type { DataSource, DataTarget, Piece } from './storage/transfer.ts';
