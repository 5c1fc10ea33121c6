import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { isBrokenPipe } from '../storage/system-error.ts';
import { Cleanup } from './cleanup.ts';
import type { CommandContext, Host } from './context.ts';
import type { CommandModule } from './definition.ts';
import { asVsimgError, describeFailure, formatFailure, formatStack } from './failure.ts';
import type { Invocation } from './invocation.ts';
import type { Io, StopSignal } from './io.ts';
import { Output } from './output.ts';
import { parseArguments } from './parse.ts';
import { Progress } from './progress.ts';
import { COMMANDS, findCommand } from './registry.ts';
import { seemsToWantJson, settingsOf, waitOf, wantsJson } from './settings.ts';
import { asksForVersion, VERSION_LINE } from './version.ts';

// For the program as it is built: it is the one file of it that is loaded later.
export { endNow } from './ending.ts';

const STOP_CODES = { SIGHUP: 'hangup', SIGINT: 'interrupted', SIGTERM: 'terminated' } as const;

/** What `main` does, with everything it needs loaded. */
export async function runCommandLine(argv: readonly string[], io: Io, host?: Host): Promise<number> {
  try {
    return await dispatch(argv, io, host);
  } catch (error) {
    return report(error, { io, json: seemsToWantJson(argv, io.env) });
  }
}

async function dispatch(argv: readonly string[], io: Io, host: Host | undefined): Promise<number> {
  if (asksForVersion(argv)) return printText(VERSION_LINE, io);
  const [first, ...rest] = argv;
  const entry = first === undefined ? undefined : findCommand(first);
  if (entry === undefined) return printText(await programHelp(argv, io), io);
  const module = await entry.load();
  const parsed = await parseArguments(entry, module.definition, { words: rest, columns: () => io.columns });
  if (parsed.kind === 'help') return printText(parsed.text, io);
  const named = { name: entry.name, ...module };
  if (host === undefined) return runModule(named, parsed.args, { io, argv });
  return runModule(named, await host.admit(entry.name, module.definition, parsed.args), { io, host });
}

/** What a command line without a known command comes to. @throws VsimgError 'usage' unless it asks for help */
async function programHelp(argv: readonly string[], io: Io): Promise<string> {
  const [first] = argv;
  const { buildProgram, parseProgram } = await import('./program.ts');
  const program = buildProgram(COMMANDS, () => io.columns);
  if (first === undefined) {
    io.stderr.write(program.helpInformation());
    throw new VsimgError('usage', 'no command given', { hint: "see 'vsimg --help'" });
  }
  if (first.startsWith('-') && argv.some((word) => findCommand(word) !== undefined)) {
    throw new VsimgError('usage', `'${first}' stands before the command`, { hint: 'put options behind it' });
  }
  const { hintFor } = await import('./hints.ts');
  const hint = hintFor(first) ?? orderHint(argv);
  if (hint !== undefined) throw new VsimgError('usage', `there is no command '${first}'`, { hint });
  const help = parseProgram(program, argv);
  if (help === undefined) throw new VsimgError('usage', `unknown command '${first}'`, { hint: "see 'vsimg --help'" });
  return help;
}

/** What to say where the command is not the first word, or not in small letters. */
function orderHint([first = '', ...others]: readonly string[]): string | undefined {
  const small = findCommand(first.toLowerCase());
  if (small !== undefined) return `did you mean ${small.name}?`;
  const command = first.startsWith('-') ? undefined : others.find((word) => findCommand(word) !== undefined);
  if (command === undefined) return undefined;
  const words = [command, first, ...others.filter((word) => word !== command)];
  return `the command comes first: 'vsimg ${words.join(' ')}'`;
}

async function printText(text: string, io: Io): Promise<number> {
  const output = new Output(io, { format: 'text', quiet: false });
  await output.write(text);
  await output.flush();
  return 0;
}

interface NamedModule extends CommandModule {
  readonly name: string;
}

interface Running {
  readonly io: Io;
  readonly host?: Host;
  /** The whole command line, where somebody else may carry it out. */
  readonly argv?: readonly string[];
}

async function runModule(module: NamedModule, args: Invocation, running: Running): Promise<number> {
  try {
    return await work(module, args, running);
  } catch (error) {
    const forwarded = await forwarding(error, module, running);
    if (typeof forwarded === 'number') return forwarded;
    const { withOrder } = await import('./word-order.ts');
    const known = withOrder(asVsimgError(forwarded), module, args.operands);
    const status = module.statusFor?.(known) ?? known.exitStatus;
    return report(known, { io: running.io, json: wantsJson(args, running.io.env), status });
  }
}

/** The process that has the image open may be one that does it for us: then that one's status, and else the error. */
async function forwarding(error: unknown, { definition }: CommandModule, { io, argv }: Running): Promise<unknown> {
  const isLocked = error instanceof VsimgError && error.code === 'locked' && error.path !== undefined;
  if (!isLocked || argv === undefined || definition.access !== 'writes' || definition.alone) return error;
  const { forward } = await import('./forward.ts');
  return forward(error.path, argv, io).then(
    (status) => status ?? error,
    (failure: unknown) => failure,
  );
}

async function work(module: CommandModule, args: Invocation, { io, host }: Running): Promise<number> {
  const hasNull = module.definition.options.some(({ name }) => name === 'null');
  const settings = settingsOf(args, io, hasNull ? 'with -z' : 'without -z');
  const output = new Output(io, settings);
  const waitSeconds = module.definition.access === 'writes' ? waitOf(args, io.env) : 0;
  const progress = new Progress(io, settings.progress);
  const cleanup = new Cleanup();
  const { removeUnfinishedFiles } = await import('../storage/new-file.ts');
  const forget = io.onStop((signal) => {
    const { onStop } = cleanup;
    cleanup.onStop = undefined;
    if (onStop !== undefined) {
      onStop(signal);
      return;
    }
    cleanup.run();
    removeUnfinishedFiles();
    progress.stop();
    io.exit(reportStop(signal, { io, json: output.format === 'json' }), signal);
  });
  io.onProgressRequest(() => progress.tell());
  try {
    const context: CommandContext = {
      io,
      args,
      output,
      progress,
      cleanup,
      waitSeconds,
      alone: module.definition.alone,
      commands: COMMANDS,
      runCommandLine,
    };
    const status = await module.run(host === undefined ? context : host.extend(context));
    progress.stop();
    await output.flush();
    return output.lostData ? EXIT_STATUS['broken-pipe'] : status;
  } catch (error) {
    progress.stop();
    // What was found before the failure is still of use; of its own failure the other error says enough.
    await output.flush().catch(() => undefined);
    if (isBrokenPipe(error)) {
      // The stream tells the writer first; a turn later the output knows too whether it was stdout.
      await new Promise((resolve) => setImmediate(resolve));
      if (output.closed) return output.lostData ? EXIT_STATUS['broken-pipe'] : 0;
    }
    throw error;
  } finally {
    forget();
  }
}

interface Reporting {
  readonly io: Io;
  readonly json: boolean;
  /** Where it is not the error's own. */
  readonly status?: number;
}

function report(error: unknown, { io, json, ...rest }: Reporting): number {
  const known = asVsimgError(error);
  const status = rest.status ?? known.exitStatus;
  const line = json ? JSON.stringify(describeFailure(known, status)) : formatFailure(known);
  const debug = io.env.VSIMG_DEBUG !== undefined && io.env.VSIMG_DEBUG !== '' && io.env.VSIMG_DEBUG !== '0';
  // Nobody is left to be told if stderr is closed.
  io.stderr.on('error', () => undefined);
  io.stderr.write(debug ? `${line}\n${formatStack(error)}\n` : `${line}\n`);
  return status;
}

function reportStop(signal: StopSignal, reporting: Reporting): number {
  return report(new VsimgError(STOP_CODES[signal], `stopped by ${signal}`), reporting);
}
