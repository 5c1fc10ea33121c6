import { createRequire } from 'node:module';
import { arch, platform } from 'node:process';

export type Loaded<T> = { readonly module: T } | { readonly failure: unknown };

/**
 * Loads the CommonJS package `name` now. Native packages are loaded so, at their first use, because loading takes
 * 5 to 10 ms, because synchronous code needs them, and because a package without a build for this
 * platform must not keep everything else from working. Bundlers must leave these packages external.
 */
export function loadPackage<T>(name: string): Loaded<T> {
  try {
    // In a CommonJS bundle import.meta.url is missing; in an ES module __filename is, or that of 'node -e', which is no path.
    const load = createRequire((import.meta.url as string | undefined) ?? __filename);
    return { module: load(name) as T };
  } catch (failure) {
    return { failure };
  }
}

/**
 * The same for a package whose main file does little but look for the native one of this platform, which takes 1 to 9 ms.
 * `direct` names that one; where it is not there or does not load, the package itself decides what to do.
 */
export function loadNativePackage<T>(name: string, direct: (host: string) => string): Loaded<T> {
  const loaded = loadPackage<T>(direct(`${platform}-${arch}`));
  return 'module' in loaded ? loaded : loadPackage<T>(name);
}
