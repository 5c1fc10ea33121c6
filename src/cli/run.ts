import { VsimgError } from '../errors.ts';
import { isBrokenPipe } from '../storage/system-error.ts';
import { Cleanup } from './cleanup.ts';
import type { CommandModule } from './definition.ts';
import { asVsimgError, describeFailure, formatFailure, formatStack } from './failure.ts';
import type { Invocation } from './invocation.ts';
import type { Io, StopSignal } from './io.ts';
import { Output, type OutputFormat } from './output.ts';
import { Progress } from './progress.ts';
import { quickParse } from './quick-parse.ts';
import { COMMANDS, findCommand } from './registry.ts';
import { asksForVersion, VERSION_LINE } from './version.ts';

const STOP_CODES = { SIGHUP: 'hangup', SIGINT: 'interrupted', SIGTERM: 'terminated' } as const;

/** What `main` does, with everything it needs loaded. */
export async function runCommandLine(argv: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    return report(error, { io, json: asksForJson(argv) });
  }
}

async function dispatch(argv: readonly string[], io: Io): Promise<number> {
  if (asksForVersion(argv)) return printText(VERSION_LINE, io);
  const [first, ...rest] = argv;
  const entry = first === undefined ? undefined : findCommand(first);
  if (entry === undefined) return printText(await programHelp(argv, io), io);
  const module = await entry.load();
  const args = quickParse(module.definition, rest);
  if (args !== undefined) return runModule(module, args, io);
  const { buildCommand, parseCommand } = await import('./program.ts');
  const command = buildCommand(entry, module.definition, () => io.columns);
  const parsed = parseCommand(command, module.definition, rest);
  return parsed.kind === 'help' ? printText(parsed.text, io) : runModule(module, parsed.args, io);
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
  const hint = hintFor(first);
  if (hint !== undefined) throw new VsimgError('usage', `there is no command '${first}'`, { hint });
  const help = parseProgram(program, argv);
  if (help === undefined) throw new VsimgError('usage', `unknown command '${first}'`, { hint: "see 'vsimg --help'" });
  return help;
}

async function printText(text: string, io: Io): Promise<number> {
  const output = new Output(io, { format: 'text', quiet: false });
  await output.write(text);
  await output.flush();
  return 0;
}

async function runModule(module: CommandModule, args: Invocation, io: Io): Promise<number> {
  try {
    return await work(module, args, io);
  } catch (error) {
    const known = asVsimgError(error);
    const status = module.statusFor?.(known) ?? known.exitStatus;
    return report(error, { io, json: args.has('json') || args.value('output') === 'json', status });
  }
}

async function work(module: CommandModule, args: Invocation, io: Io): Promise<number> {
  const quiet = args.has('quiet');
  const output = new Output(io, { format: outputFormat(args), quiet });
  const waitSeconds = module.definition.access === 'writes' ? parseWait(args.value('wait')) : 0;
  const progress = new Progress(io, { show: quiet ? 'never' : args.has('progress') ? 'always' : 'automatic' });
  const cleanup = new Cleanup();
  const { removeUnfinishedFiles } = await import('../storage/new-file.ts');
  const forget = io.onStop((signal) => {
    cleanup.run();
    removeUnfinishedFiles();
    progress.stop();
    io.exit(reportStop(signal, { io, json: output.format === 'json' }), signal);
  });
  try {
    const status = await module.run({ io, args, output, progress, cleanup, waitSeconds, commands: COMMANDS });
    progress.stop();
    await output.flush();
    return status;
  } catch (error) {
    progress.stop();
    // What was found before the failure is still of use; of its own failure the other error says enough.
    await output.flush().catch(() => undefined);
    if (isBrokenPipe(error)) {
      // The stream tells the writer first; a turn later the output knows too whether it was stdout.
      await new Promise((resolve) => setImmediate(resolve));
      if (output.closed) return 0;
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

/** For errors that come before, or from, the parsing of options. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const options = end === -1 ? argv : argv.slice(0, end);
  return options.some(
    (word, index) =>
      word === '--json' || word === '--output=json' || (word === '--output' && options[index + 1] === 'json'),
  );
}

function outputFormat(args: Invocation): OutputFormat {
  const named = args.value('output');
  if (named === undefined) return args.has('json') ? 'json' : 'text';
  if (named !== 'json' && named !== 'text') {
    throw new VsimgError('usage', `--output '${named}' is not a format`, { hint: "it is 'text' or 'json'" });
  }
  if (named === 'text' && args.has('json')) {
    throw new VsimgError('usage', '--json and --output=text contradict each other', { hint: 'give one of them' });
  }
  return named;
}

function parseWait(text: string | undefined): number {
  if (text === undefined) return 0;
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || seconds > 1e9) {
    throw new VsimgError('usage', `--wait '${text}' is not a number of seconds`, {
      hint: 'give one such as 30 or 0.5',
    });
  }
  return seconds;
}
