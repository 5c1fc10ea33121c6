import { koffi } from './koffi.ts';

/** Options of mallopt(3), as malloc.h of glibc numbers them. */
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
/** From this length on a buffer is a mapping of its own. */
const APART_BYTES = 1024 * 1024;
const ARENAS = 2;

let isDone = false;

/**
 * Has glibc give long buffers back to the system when they are freed. By itself it takes more and more of them, up to 32 MiB long, from
 * where small ones are, and keeps what is free between those: an eighth of the memory of a server that collects. Elsewhere, or
 * where the package that calls it is missing, nothing happens.
 */
export function keepLongBuffersApart(): void {
  if (isDone) return;
  isDone = true;
  const loaded = koffi();
  if ('failure' in loaded) return;
  try {
    const mallopt = loaded.module.load(null).func('int mallopt(int option, int value)');
    mallopt(M_MMAP_THRESHOLD, APART_BYTES);
    mallopt(M_ARENA_MAX, ARENAS);
  } catch {
    // Another library of C, which has its own ways.
  }
}
