import type { CommandContext } from '../cli/context.ts';
import type { Invocation } from '../cli/invocation.ts';
import type { JsonObject } from '../cli/json.ts';
import { type Column, fitWidth, formatRows, oneLine, subject } from '../cli/table.ts';
import { fileExists, parseImage } from '../cli/target.ts';
import { shortId } from '../cli/version-view.ts';
import { VsimgError } from '../errors.ts';
import type { Ref, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { withImage } from './opening.ts';

const COLUMNS: readonly Column[] = [
  { title: '', align: 'left' },
  { title: '', align: 'right' },
  { title: '', align: 'left' },
  { title: '', align: 'left' },
];

/** What `tag` and `branch` have in common. */
export async function runRefs(context: CommandContext, kind: Ref['kind']): Promise<number> {
  const { args } = context;
  if (args.values('delete').length > 0) {
    if (args.has('force'))
      throw new VsimgError('usage', '--delete and --force contradict each other', { hint: 'give one of them' });
    const { path, names } = parseDeletion(args);
    return withImage(context, { path, mode: 'write' }, (image) => remove(context, image, { kind, names }));
  }
  const path = parseImage(args.operand(0));
  const [, name, rev, ...more] = args.operands;
  if (name === undefined) {
    return withImage(context, { path, mode: 'read' }, (image) => list(context, image, kind));
  }
  if (more.length > 0)
    throw new VsimgError('usage', `a ${kind} names one version, and ${more.length + 1} are given`, {
      hint: `give 'vsimg ${kind} IMAGE NAME REV'`,
    });
  return withImage(context, { path, mode: 'write' }, (image) =>
    make(context, image, { kind, name, rev: rev ?? 'HEAD' }),
  );
}

/** As with git, further names may follow the first, and `-d IMAGE NAME...` is taken as it is meant. */
function parseDeletion(args: Invocation): { readonly path: string; readonly names: readonly string[] } {
  const [first = '', ...others] = args.values('delete');
  if (!fileExists(args.operand(0)) && fileExists(first))
    return { path: parseImage(first), names: [...others, ...args.operands] };
  return { path: parseImage(args.operand(0)), names: [first, ...others, ...args.operands.slice(1)] };
}

async function list({ args, io, output }: CommandContext, image: Image, kind: Ref['kind']): Promise<number> {
  const { refs, head, versions } = image.inOneState(() => {
    const named = image.refs().filter((ref) => ref.kind === kind);
    return { refs: named, head: image.info().head, versions: named.map((ref) => image.version(ref.version)) };
  });
  if (output.format === 'json') {
    const described = refs.map((ref, index) => ({
      ...describe(ref),
      ...(kind === 'branch' ? { current: ref.name === head.branch } : { locked: versions[index]?.isLocked === true }),
    }));
    await output.listDocument({ filename: image.path }, kind === 'tag' ? 'tags' : 'branches', described);
    return 0;
  }
  if (args.has('null')) {
    for (const { name } of refs) await output.item(name, '\0');
    return 0;
  }
  const paint = await output.paint();
  const width = io.stdoutIsTerminal ? io.columns : Number.POSITIVE_INFINITY;
  const rows = formatRows(
    COLUMNS,
    refs.map((ref, index) => row(ref, versions[index] as VersionInfo)),
  );
  const lines = rows.map((line) => fitWidth(line, width - (kind === 'tag' ? 0 : 2)));
  for (const [index, line] of lines.entries()) {
    if (kind === 'tag') await output.line(line);
    else await output.line(refs[index]?.name === head.branch ? paint.ref(`* ${line}`) : `  ${line}`);
  }
  if (kind === 'branch' && head.branch === null && head.version !== null) {
    await output.line(paint.ref(`* (HEAD detached at ${head.version})`));
  }
  return 0;
}

async function make(
  { args, output }: CommandContext,
  image: Image,
  { kind, name, rev }: { readonly kind: Ref['kind']; readonly name: string; readonly rev: string },
): Promise<number> {
  const force = args.has('force');
  const ref = kind === 'tag' ? await image.setTag(name, rev, { force }) : await image.setBranch(name, rev, { force });
  await output.message(`${kind} ${ref.name} is version ${ref.version}`);
  await output.document({ filename: image.path, [kind]: describe(ref) });
  return 0;
}

async function remove(
  { output }: CommandContext,
  image: Image,
  { kind, names }: { readonly kind: Ref['kind']; readonly names: readonly string[] },
): Promise<number> {
  const deleted = await image.deleteRefs(names, kind);
  for (const ref of deleted) await output.message(`deleted ${kind} ${ref.name} (was version ${ref.version})`);
  await output.listDocument({ filename: image.path }, 'deleted', deleted.map(describe));
  return 0;
}

function row({ name }: Ref, { number, id, message, isLocked }: VersionInfo): string[] {
  const text = isLocked ? `(locked) ${subject(message)}` : subject(message);
  return [oneLine(name), String(number), shortId(id), text];
}

function describe(ref: Ref): JsonObject {
  return { name: ref.name, version: ref.version };
}
