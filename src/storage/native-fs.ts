import { type Loaded, loadAddon, loadPackage } from './native-package.ts';
import { systemCode } from './system-error.ts';

/** The part of `fs-native-extensions` used here; the package has no types. */
export interface NativeFs {
  /** False if another descriptor holds a conflicting lock; throws system errors for all else. */
  tryLock(fd: number, offset: number, length: number, options: { readonly shared: boolean }): boolean;
  unlock(fd: number, offset: number, length: number): void;
  /** Punches a hole; the length of the file stays. */
  trimSync(fd: number, offset: number, length: number): void;
}

/** Its native part, which its JavaScript wraps; package.json names the one release whose native part this is. */
interface Binding extends Omit<NativeFs, 'tryLock'> {
  /** Throws EAGAIN if another descriptor holds a conflicting lock. */
  tryLock(fd: number, offset: number, length: number, isExclusive: boolean): void;
}

let loaded: Loaded<NativeFs> | undefined;

/** The native package, or why it could not be loaded. */
export function nativeFs(): Loaded<NativeFs> {
  loaded ??= load();
  return loaded;
}

function load(): Loaded<NativeFs> {
  const binding = loadAddon<Binding>((host) => `fs-native-extensions/prebuilds/${host}/fs-native-extensions.node`);
  return binding === undefined ? loadPackage<NativeFs>('fs-native-extensions') : { module: wrap(binding) };
}

function wrap(binding: Binding): NativeFs {
  return {
    tryLock(fd, offset, length, { shared }) {
      try {
        binding.tryLock(fd, offset, length, !shared);
        return true;
      } catch (error) {
        if (systemCode(error) === 'EAGAIN') return false;
        throw error;
      }
    },
    unlock: (fd, offset, length) => binding.unlock(fd, offset, length),
    trimSync: (fd, offset, length) => binding.trimSync(fd, offset, length),
  };
}
