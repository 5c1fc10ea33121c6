import { VsimgError } from '../errors.ts';
import type { Invocation } from './invocation.ts';
import type { Io } from './io.ts';
import type { JsonLayout } from './json.ts';
import type { OutputFormat } from './output.ts';
import type { ProgressSettings } from './progress.ts';

type Environment = Io['env'];

/** What every command can be told, by its command line or, behind that, by the environment. */
export interface Settings {
  readonly format: OutputFormat;
  readonly jsonLayout: JsonLayout;
  readonly quiet: boolean;
  readonly progress: ProgressSettings;
}

type Form = Pick<Settings, 'format' | 'jsonLayout'>;

const OUTPUTS: ReadonlyMap<string, Form> = new Map<string, Form>([
  ['text', { format: 'text', jsonLayout: 'document' }],
  ['json', { format: 'json', jsonLayout: 'document' }],
  ['json-lines', { format: 'json', jsonLayout: 'lines' }],
  ['jsonl', { format: 'json', jsonLayout: 'lines' }],
]);
const PROGRESS_FORMS = ['bar', 'json', 'none'] as const;

/** `lists` says whether the command has `-z`. Errors: 'usage', which name the option or the variable. */
export function settingsOf(args: Invocation, io: Io, lists: 'with -z' | 'without -z'): Settings {
  const output = lists === 'with -z' && args.has('null') ? nullOutput(args) : outputOf(args, io.env);
  const quiet = args.has('quiet') || flag(io.env, 'VSIMG_QUIET');
  return { ...output, quiet, progress: progressOf(args, io) };
}

/** Whether errors are to be JSON; never an error itself. */
export function wantsJson(args: Invocation, env: Environment): boolean {
  const output = args.value('output') ?? (args.has('json') ? 'json' : env.VSIMG_OUTPUT);
  return args.has('json') || OUTPUTS.get(output ?? 'text')?.format === 'json';
}

/** The same where the command line was not understood. */
export function seemsToWantJson(argv: readonly string[], env: Environment): boolean {
  const end = argv.indexOf('--');
  const options = end === -1 ? argv : argv.slice(0, end);
  const output = /(?<=^|\0)--output[=\0]([^\0]*)/.exec(options.join('\0'))?.[1];
  if (options.some((word) => /^--json(=|$)/.test(word))) return true;
  return OUTPUTS.get(output ?? env.VSIMG_OUTPUT ?? 'text')?.format === 'json';
}

/** How long to wait for another writer, in seconds. Errors: 'usage'. */
export function waitOf(args: Invocation, env: Environment): number {
  const { text, name } = given(args, env, { option: 'wait', variable: 'VSIMG_WAIT' });
  if (text === undefined) return 0;
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || seconds > 1e9) {
    throw new VsimgError('usage', `${name} '${text}' is not a number of seconds`, {
      hint: 'give one such as 30 or 0.5',
    });
  }
  return seconds;
}

/** NUL-separated items are text, whatever the environment says. */
function nullOutput(args: Invocation): Form {
  if (args.has('json') || (args.value('output') ?? 'text') !== 'text')
    throw new VsimgError('usage', '-z and JSON exclude each other', { hint: 'give --json=lines alone' });
  return { format: 'text', jsonLayout: 'document' };
}

function outputOf(args: Invocation, env: Environment): Form {
  const form = args.value('json');
  if (form !== undefined && form !== 'document' && form !== 'lines')
    throw new VsimgError('usage', `--json '${form}' is not a form`, { hint: "it is '--json' or '--json=lines'" });
  const json = form === undefined ? undefined : OUTPUTS.get(form === 'lines' ? 'json-lines' : 'json');
  const { text, name } = given(args, json === undefined ? env : {}, { option: 'output', variable: 'VSIMG_OUTPUT' });
  const output = text === undefined ? undefined : OUTPUTS.get(text);
  if (text !== undefined && output === undefined)
    throw new VsimgError('usage', `${name} '${text}' is not a format`, {
      hint: "it is 'text', 'json' or 'json-lines'",
    });
  if (json !== undefined && output?.format === 'text')
    throw new VsimgError('usage', '--json and --output=text contradict each other', { hint: 'give one of them' });
  const lines = [json, output].find((candidate) => candidate?.jsonLayout === 'lines');
  return lines ?? json ?? output ?? { format: 'text', jsonLayout: 'document' };
}

function progressOf(args: Invocation, io: Io): ProgressSettings {
  // With -q there is none even with -p, as with qemu-img; what the environment says gives way to either.
  if (args.has('quiet')) return { show: 'never' };
  const form = given(args, io.env, { option: 'progress', variable: 'VSIMG_PROGRESS' });
  const known = PROGRESS_FORMS.find((candidate) => candidate === form.text);
  if (form.text !== undefined && known === undefined)
    throw new VsimgError('usage', `${form.name} '${form.text}' is not a form of progress`, {
      hint: "it is 'bar', 'json' or 'none'",
    });
  if (known === 'none') return { show: 'never' };
  // A bar that was asked for here is not for a descriptor that the environment names.
  const isBar = known === 'bar' && args.has('progress');
  const descriptor = descriptorOf(args, io, isBar ? {} : io.env);
  if (descriptor !== undefined) return { show: 'always', form: 'json', descriptor };
  if (known === 'json') return { show: 'always', form: 'json' };
  if (known === 'bar') return { show: 'always' };
  return { show: flag(io.env, 'VSIMG_QUIET') ? 'never' : 'automatic' };
}

function descriptorOf(args: Invocation, io: Io, env: Environment): number | undefined {
  const { text, name } = given(args, env, { option: 'progress-fd', variable: 'VSIMG_PROGRESS_FD' });
  if (text === undefined) return undefined;
  const hint = 'open one for it, as in 3>progress.jsonl, and give its number';
  if (!/^\d{1,5}$/.test(text)) throw new VsimgError('usage', `${name} '${text}' is not a descriptor`, { hint });
  try {
    io.writeTo(Number(text), '');
  } catch (cause) {
    throw new VsimgError('usage', `${name} '${text}' can not be written to`, { hint, cause });
  }
  return Number(text);
}

interface Setting {
  readonly option: string;
  readonly variable: string;
}

/** The command line wins; an empty variable is none. `name` is for messages. */
function given(
  args: Invocation,
  env: Environment,
  { option, variable }: Setting,
): { readonly text: string | undefined; readonly name: string } {
  const text = args.value(option);
  if (text !== undefined) return { text, name: `--${option}` };
  const inherited = env[variable];
  return { text: inherited === '' ? undefined : inherited, name: variable };
}

/** Errors: 'usage' for anything but 1, 0 and nothing. */
function flag(env: Environment, variable: string): boolean {
  const text = env[variable] ?? '';
  if (text === '' || text === '0') return false;
  if (text === '1') return true;
  throw new VsimgError('usage', `${variable} is '${text}'`, { hint: "set it to '1' or '0'" });
}
