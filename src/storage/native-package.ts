import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { arch, dlopen, platform } from 'node:process';
import { fileURLToPath } from 'node:url';

export type Loaded<T> = { readonly module: T } | { readonly failure: unknown };

/**
 * Loads the CommonJS package `name` now. Native packages are loaded so, at their first use, because loading takes
 * 5 to 10 ms, because synchronous code needs them, and because a package without a build for this
 * platform must not keep everything else from working. Bundlers must leave these packages external.
 */
export function loadPackage<T>(name: string): Loaded<T> {
  try {
    return { module: createRequire(here())(name) as T };
  } catch (failure) {
    return { failure };
  }
}

/** In a CommonJS bundle import.meta.url is missing; in an ES module __filename is, or that of 'node -e', which is no path. */
function here(): string {
  const url = import.meta.url as string | undefined;
  return url === undefined ? __filename : fileURLToPath(url);
}

/**
 * Loads the native part of a package, in a quarter of the time that `require` takes, and without the package, which may look for it for
 * 9 ms. `file` names it for this platform, from the folder of packages on. Undefined where it is not there or does not load.
 */
export function loadAddon<T>(file: (host: string) => string): T | undefined {
  const name = file(`${platform}-${arch}`);
  for (let at = here(), directory = dirname(at); directory !== at; [at, directory] = [directory, dirname(directory)]) {
    const path = join(directory, 'node_modules', name);
    if (!existsSync(path)) continue;
    const module = { exports: {} };
    try {
      dlopen(module, path);
      return module.exports as T;
    } catch {
      return undefined;
    }
  }
  return undefined;
}

/**
 * The package `name`, whose main file does little but look for its native part, which takes 1 to 9 ms: that part, or where `file` is not
 * there or does not load, whatever the package itself finds.
 */
export function loadNativePackage<T>(name: string, file: (host: string) => string): Loaded<T> {
  const addon = loadAddon<T>(file);
  return addon === undefined ? loadPackage<T>(name) : { module: addon };
}
