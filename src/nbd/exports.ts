import type { Disk } from '../image/disk.ts';
import type { ExportFacts } from './option.ts';

/** Something that clients may ask for by name. */
export interface Export extends ExportFacts {
  /** Contexts of block status that it can tell of, as clients name them, beside `base:allocation`. */
  readonly contexts: Contexts;
  /** For one client; whoever opens it closes it. Errors: of the image. */
  open(): Promise<Opened>;
}

export interface Opened {
  readonly disk: Disk;
  /** Of TRANSMISSION_FLAG: as it is for this client. */
  readonly flags: number;
  /**
   * To be called when the client is gone, after the last request: whether it was told that something could not be stored. Errors: of the image, for what it
   * wrote and counts on.
   */
  close(requests: 'answered' | 'failed'): Promise<void>;
}

export interface Contexts {
  /** All that are worth to be listed. */
  list(): Iterable<string>;
  /** True for a name that block status can be asked for. */
  has(name: string): boolean;
}

/** What a server offers. Both calls tell of the image as it is at that moment. */
export interface Exports {
  list(): Iterable<Pick<ExportFacts, 'name' | 'description'>>;
  /** Undefined if there is none of that name. */
  find(name: string): Export | undefined;
}
