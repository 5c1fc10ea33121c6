import type { Cleanup } from './cleanup.ts';
import type { CommandEntry } from './definition.ts';
import type { Invocation } from './invocation.ts';
import type { Io } from './io.ts';
import type { Output } from './output.ts';
import type { Progress } from './progress.ts';

/** What a command gets to work with. */
export interface CommandContext {
  readonly io: Io;
  readonly args: Invocation;
  readonly output: Output;
  readonly progress: Progress;
  readonly cleanup: Cleanup;
  /** How long to wait for another writer. */
  readonly waitSeconds: number;
  /** All commands, for the one that explains them. */
  readonly commands: readonly CommandEntry[];
}
