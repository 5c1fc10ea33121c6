import { statSync } from 'node:fs';
import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import { subject } from '../cli/table.ts';
import { VsimgError } from '../errors.ts';
import type { Image } from '../image/image.ts';
import { type Candidate, type Wanted, wantedAt } from './candidates.ts';
import { COMPLETION_SCRIPTS, type Shell } from './completion-scripts.ts';
import { withImage } from './opening.ts';

const SHELLS = Object.keys(COMPLETION_SCRIPTS) as Shell[];
/** More than anybody reads through. */
const MAX_NAMES = 1000;
const NEWEST = 30;
/** How far back a number that begins so is looked for. */
const MAX_VERSIONS_READ = 1000;

export const definition: CommandDefinition = {
  description:
    'Prints a script for a shell, which then completes commands, options, image files and, inside an image, versions, tags and branches.',
  arguments: [
    { name: 'SHELL', presence: 'required', completes: SHELLS, description: `one of: ${SHELLS.join(', ')}` },
    {
      name: 'WORD',
      presence: 'any-number',
      completes: 'nothing',
      description: 'a command line without its first word: print what the last WORD may become, as the scripts ask',
    },
  ],
  options: [],
  access: 'neither',
  examples: [
    {
      command: 'vsimg completion bash > ~/.local/share/bash-completion/completions/vsimg',
      explanation: 'where bash looks for it, with the package bash-completion',
    },
    { command: 'vsimg completion zsh > ~/.zfunc/_vsimg', explanation: 'in a directory of $fpath, before compinit' },
    {
      command: 'vsimg completion fish > ~/.config/fish/completions/vsimg.fish',
      explanation: 'where fish looks for it',
    },
    { command: 'vsimg completion bash -- log disk.vsi@v', explanation: 'what could follow here?' },
  ],
  details: [
    'Without a file of its own: eval "$(vsimg completion bash)" in ~/.bashrc does the same.',
    "Try 'vsimg log disk.vsi@' and the tabulator key. The script asks this program each time, so it need not be made anew when " +
      'the program is.',
    'An image that is damaged, locked or not there has no names to offer: that is no error here.',
  ],
  statuses: [],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, commands } = context;
  const [name = '', ...words] = args.operands;
  const shell = SHELLS.find((known) => known === name);
  if (shell === undefined) {
    throw new VsimgError('usage', `there is no completion for '${name}'`, { hint: `it is for ${SHELLS.join(', ')}` });
  }
  if (words.length === 0) {
    const script = COMPLETION_SCRIPTS[shell];
    await output.line(script.trimEnd());
    await output.document({ shell, script });
    return 0;
  }
  const wanted = await wantedAt(words, commands);
  const current = words.at(-1) ?? '';
  const names = await namesWithin(context, wanted, current);
  const candidates = [...wanted.words.map((candidate) => behind(wanted.before, candidate)), ...names.candidates];
  const matching = candidates.filter(({ word }) => word.startsWith(current));
  for (const { word, description } of matching) {
    await output.line(shell === 'bash' || description === '' ? word : `${word}\t${description}`);
  }
  await output.line(`:${names.files}`);
  await output.document({ shell, candidates: matching.map((candidate) => ({ ...candidate })), files: names.files });
  return 0;
}

interface Names {
  readonly candidates: readonly Candidate[];
  /** What the shell is to add. */
  readonly files: 'images' | 'files' | 'nothing';
}

const NO_NAMES: Names = { candidates: [], files: 'nothing' };

function behind(before: string, { word, description }: Candidate): Candidate {
  return { word: `${before}${word}`, description };
}

/** Versions, tags and branches, if the last word is one or has one behind its `@`. */
async function namesWithin(context: CommandContext, wanted: Wanted, current: string): Promise<Names> {
  const { kind, before } = wanted;
  if (kind === 'nothing') return NO_NAMES;
  if (kind === 'file') return { ...NO_NAMES, files: 'files' };
  const typed = current.slice(before.length);
  if (kind === 'image') {
    const at = typed.lastIndexOf('@');
    const path = fileAt(typed.slice(0, Math.max(at, 0)), context);
    if (path === undefined) return { ...NO_NAMES, files: 'images' };
    return {
      ...NO_NAMES,
      candidates: await candidatesIn(context, path, {
        kind: 'revision',
        before: typed.slice(0, at + 1),
        typed: typed.slice(at + 1),
      }),
    };
  }
  const path = imagePath(wanted.image ?? '', context);
  if (path === undefined) return NO_NAMES;
  const dots = kind === 'revision' ? (/^.*\.\.(?!\.)/.exec(typed)?.[0] ?? '') : '';
  return {
    ...NO_NAMES,
    candidates: await candidatesIn(context, path, { kind, before: before + dots, typed: typed.slice(dots.length) }),
  };
}

/** The file of `IMAGE` or `IMAGE@REV`. */
function imagePath(text: string, context: CommandContext): string | undefined {
  return fileAt(text, context) ?? fileAt(text.slice(0, Math.max(0, text.lastIndexOf('@'))), context);
}

/** A shell has not replaced the `~` of a word that is being typed. */
function fileAt(text: string, { io }: CommandContext): string | undefined {
  const path = text.startsWith('~/') ? `${io.env.HOME ?? '~'}${text.slice(1)}` : text;
  const stat = path === '' ? undefined : statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true || stat?.isBlockDevice() === true ? path : undefined;
}

interface NameQuery {
  readonly kind: 'branch' | 'revision' | 'tag';
  readonly before: string;
  readonly typed: string;
}

async function candidatesIn(context: CommandContext, path: string, query: NameQuery): Promise<Candidate[]> {
  try {
    return await withImage(context, { path, mode: 'read' }, async (image) =>
      image.inOneState(() => namesIn(image, query)).map((candidate) => behind(query.before, candidate)),
    );
  } catch {
    // Whoever presses a key does not want to read about damage.
    return [];
  }
}

function namesIn(image: Image, { kind, typed }: NameQuery): Candidate[] {
  const refs = image
    .refs(typed)
    .filter((ref) => kind === 'revision' || ref.kind === kind)
    .slice(0, MAX_NAMES);
  const named = refs.map((ref) => ({ word: ref.name, description: `${ref.kind}, version ${ref.version}` }));
  if (kind !== 'revision') return named;
  const head = image.info().head.version;
  const heads = head === null ? [] : [{ word: 'HEAD', description: `version ${head}` }];
  return [...heads, ...named, ...numbers(image, typed)];
}

function numbers(image: Image, typed: string): Candidate[] {
  const found: Candidate[] = [];
  if (!/^\d*$/.test(typed)) return found;
  let read = 0;
  for (const { number, message } of image.versions()) {
    if (++read > MAX_VERSIONS_READ) break;
    if (!String(number).startsWith(typed)) continue;
    found.push({ word: String(number), description: subject(message).replaceAll('\t', ' ') });
    if (found.length === NEWEST) break;
  }
  return found;
}
