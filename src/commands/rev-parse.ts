import type { CommandContext } from '../cli/context.ts';
import { type CommandDefinition, REVISION_OPTION } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { parseTarget } from '../cli/target.ts';
import { shortId } from '../cli/version-view.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { HeadInfo, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { withImage } from './opening.ts';
import { expandRange } from './version-range.ts';

export const definition: CommandDefinition = {
  description: 'Prints which version each revision names.',
  arguments: [
    { name: 'IMAGE[@REV]', presence: 'required', description: 'the image, and a revision' },
    {
      name: 'REV',
      presence: 'any-number',
      description: 'a revision, or a range of numbers such as 3..7 (default: HEAD)',
    },
  ],
  options: [
    { name: 'id', description: 'print ids instead of numbers' },
    { name: 'short', description: 'print the first 8 digits of ids' },
    { name: 'abbrev-ref', description: 'print a name: a branch, else a tag, else the number' },
    { name: 'verify', description: 'exactly one revision; with -q, say nothing if there is no such version' },
    REVISION_OPTION,
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg rev-parse disk.vsi HEAD~1', explanation: 'number of the version before' },
    { command: 'vsimg rev-parse disk.vsi v1.0 --id', explanation: 'its id, which is the same in every copy' },
    { command: 'vsimg rev-parse disk.vsi --abbrev-ref HEAD', explanation: 'the branch checked out' },
    { command: 'vsimg rev-parse disk.vsi -q --verify v2 || echo free', explanation: 'in a script: is there a v2?' },
  ],
  details: [
    'A line for each version, in the order of the revisions; either all are printed or, after an error, none. With --abbrev-ref ' +
      "HEAD gives the branch checked out (HEAD if it is detached), a branch or tag gives itself, and all else the version's first " +
      'branch, its first tag, or its number. 8 digits of an id tell versions apart at a glance, but need not be unique.',
  ],
  statuses: [{ status: EXIT_STATUS['not-found'], meaning: 'a revision names no version' }],
};

const FORMS = ['id', 'short', 'abbrev-ref'] as const;

interface Parsed {
  readonly revision: string;
  readonly version: VersionInfo;
  readonly name: string | null;
}

export async function run(context: CommandContext): Promise<number> {
  const { args, output } = context;
  const { path, rev } = parseTarget(args.operand(0), args.value('revision'));
  const named = [...(rev === null ? [] : [rev]), ...args.operands.slice(1)];
  const revs = named.length === 0 ? ['HEAD'] : named;
  const forms = FORMS.filter((form) => args.has(form));
  if (forms.length > 1) {
    throw new VsimgError('usage', `--${forms[0]} and --${forms[1]} exclude each other`, { hint: 'give one of them' });
  }
  return withImage(context, { path, mode: 'read' }, async (image) => {
    let parsed: readonly Parsed[];
    try {
      parsed = image.inOneState(() => parse(image, revs));
    } catch (error) {
      const isQuiet = args.has('verify') && output.quiet;
      if (isQuiet && error instanceof VsimgError && error.code === 'not-found') return error.exitStatus;
      throw error;
    }
    if (args.has('verify') && parsed.length !== 1) {
      throw new VsimgError('usage', `--verify takes one revision, and these are ${parsed.length}`, {
        hint: 'leave out --verify, or ask for one at a time',
      });
    }
    for (const one of parsed) await output.line(format(one, forms[0]));
    await output.document({ filename: path, revisions: parsed.map(describe) });
    return 0;
  });
}

function parse(image: Image, revs: readonly string[]): Parsed[] {
  const { head } = image.info();
  return revs.flatMap((rev) =>
    expandRange(image, rev).map((revision) => {
      const version = image.version(revision);
      return { revision, version, name: nameOf(revision, version, head) };
    }),
  );
}

function nameOf(revision: string, { branches, tags }: VersionInfo, { branch }: HeadInfo): string | null {
  if (revision === 'HEAD') return branch;
  if (branches.includes(revision) || tags.includes(revision)) return revision;
  return branches[0] ?? tags[0] ?? null;
}

function format({ revision, version, name }: Parsed, form: (typeof FORMS)[number] | undefined): string {
  if (form === 'id') return version.id;
  if (form === 'short') return shortId(version.id);
  if (form === 'abbrev-ref') return name ?? (revision === 'HEAD' ? 'HEAD' : String(version.number));
  return String(version.number);
}

function describe({ revision, version, name }: Parsed): JsonObject {
  return { revision, version: version.number, 'version-id': version.id, name };
}
