import { type Loaded, loadPackage } from './native-package.ts';

/** The part of `fs-native-extensions` used here; the package has no types. */
export interface NativeFs {
  /** False if another descriptor holds a conflicting lock; throws system errors for all else. */
  tryLock(fd: number, offset: number, length: number, options: { readonly shared: boolean }): boolean;
  unlock(fd: number, offset: number, length: number): void;
  /** Punches a hole; the length of the file stays. */
  trimSync(fd: number, offset: number, length: number): void;
}

let loaded: Loaded<NativeFs> | undefined;

/** The native package, or why it could not be loaded. */
export function nativeFs(): Loaded<NativeFs> {
  loaded ??= loadPackage<NativeFs>('fs-native-extensions');
  return loaded;
}
