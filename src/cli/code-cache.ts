import fs from 'node:fs';
import { Script } from 'node:vm';

/**
 * A script whose compiled code is kept in a file beside it from one process to the next: compiling is most of what the
 * start of a short command costs. Node's own cache for that does not exist before Node 22.1, and keeps its files
 * in a folder of the system's where anybody may put them first; code must come from where the program comes from.
 */
export class CachedScript {
  readonly #script: Script;
  /** Undefined for a process with flags of its own: V8 takes code only from one that had the same. */
  readonly #cachePath: string | undefined;
  readonly #isCompiled: boolean;

  /**
   * `path` is a file with one expression in ASCII, whose name changes with its contents. Runs that take different
   * ways through the script are best given different `use`s, of letters only: a cache holds what its maker called.
   */
  constructor(path: string, use: string) {
    const hasFlags = process.execArgv.length > 0 || (process.env.NODE_OPTIONS ?? '') !== '';
    this.#cachePath = hasFlags
      ? undefined
      : `${path.replace(/\.\w+$/, '')}-${use}-${process.version}-${process.arch}.cache`;
    const cachedData = this.#cachePath === undefined ? undefined : readTwice(this.#cachePath);
    const options = { filename: path, ...(cachedData === undefined ? {} : { cachedData }) };
    this.#script = new Script(fs.readFileSync(path, 'latin1'), options);
    // V8 itself refuses what another build of it has made.
    this.#isCompiled = cachedData !== undefined && this.#script.cachedDataRejected !== true;
  }

  run(): unknown {
    return this.#script.runInThisContext();
  }

  /** Keeps the code of all functions called so far, unless there is a cache already. Where it can not, nothing happens. */
  save(): void {
    if (this.#isCompiled || this.#cachePath === undefined) return;
    const temporary = `${this.#cachePath}.${process.pid}`;
    try {
      // Before the code is collected, which takes a while: in most places where programs are installed users may not write.
      const fd = fs.openSync(temporary, 'wx', 0o644);
      try {
        const code = this.#script.createCachedData();
        fs.writeSync(fd, Buffer.concat([code, code]));
        fs.renameSync(temporary, this.#cachePath);
      } catch {
        fs.unlinkSync(temporary);
      } finally {
        fs.closeSync(fd);
      }
    } catch {
      // The next run compiles again.
    }
  }
}

/**
 * The bytes that a file holds twice, or undefined. V8 takes damaged code for good and crashes later, so that nothing may come
 * to it unverified, be it what a power cut left; and to compare, nothing needs to be loaded.
 */
function readTwice(path: string): Buffer | undefined {
  let file: Buffer;
  try {
    file = fs.readFileSync(path);
  } catch {
    return undefined;
  }
  const half = file.subarray(0, file.length / 2);
  return half.length > 0 && half.equals(file.subarray(half.length)) ? half : undefined;
}
