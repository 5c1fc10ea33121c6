import { type Loaded, loadPackage } from './native-package.ts';

/** The part of `koffi` used here, a foreign function interface. Buffers are handed over as pointers to their bytes, without a copy. */
export interface Koffi {
  /** Null: this process, with the C library in it. */
  load(library: string | null): { func(prototype: string): (...args: readonly unknown[]) => unknown };
  errno(): number;
  readonly os: { readonly errno: Readonly<Record<string, number>> };
}

export function koffi(): Loaded<Koffi> {
  return loadPackage<Koffi>('koffi');
}
