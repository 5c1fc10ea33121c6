import type { Cleanup } from './cleanup.ts';
import type { CommandDefinition, CommandEntry } from './definition.ts';
import type { Invocation } from './invocation.ts';
import type { Io } from './io.ts';
import type { Output } from './output.ts';
import type { Progress } from './progress.ts';

/** For a process that carries out command lines of others. */
export interface Host {
  /** What is really to be done. Errors: 'usage', 'refused' for what is not done for others. */
  admit(command: string, definition: CommandDefinition, args: Invocation): Promise<Invocation>;
  /** What the command gets to work with. */
  extend(context: CommandContext): CommandContext;
}

/** What a command gets to work with. */
export interface CommandContext {
  readonly io: Io;
  readonly args: Invocation;
  readonly output: Output;
  readonly progress: Progress;
  readonly cleanup: Cleanup;
  /** How long to wait for another writer. */
  readonly waitSeconds: number;
  /** As the definition has it: a server is another writer, to be waited for. */
  readonly alone?: true | undefined;
  /** All commands, for the one that explains them. */
  readonly commands: readonly CommandEntry[];
  /** Carries out a whole command line, for the one that does it for other processes; gives its exit status. */
  readonly runCommandLine: (argv: readonly string[], io: Io, host: Host) => Promise<number>;
}
