import { VsimgError } from '../errors.ts';
import { foreignRevisionHint } from './foreign-revision.ts';
import type { NamedRef, RefKind, Refs } from './refs.ts';
import { hex, type VersionTable } from './version-table.ts';

export interface RevisionContext {
  readonly versions: VersionTable;
  readonly refs: Refs;
  /** Version of HEAD, or null before the first commit. */
  readonly head: number | null;
}

const MIN_ID_DIGITS = 4;
const SUFFIX = /(?:~(\d*)|\^)$/;
/** Longer than any name, with steps behind it. */
const MAX_REVISION_CHARACTERS = 1024;

/**
 * The number of the version that `text` names: a number, HEAD, a tag, a branch or a unique prefix of an
 * id, then any of `~N`, `~` and `^` (parents). Errors: 'not-found', 'usage' (ambiguous prefix).
 */
export function resolveRevision(text: string, context: RevisionContext): number {
  if (text.length > MAX_REVISION_CHARACTERS)
    throw new VsimgError('not-found', `a revision of ${text.length} characters is too long`, {
      hint: 'give ~N for N parents',
    });
  let base = text;
  let steps = 0;
  for (let match = SUFFIX.exec(base); match !== null; match = SUFFIX.exec(base)) {
    steps += match[1] === undefined || match[1] === '' ? 1 : Number(match[1]);
    base = base.slice(0, match.index);
  }
  let number = resolveBase(base, context);
  for (let step = 0; step < steps; step++) {
    const { parent } = context.versions.need(number);
    if (parent === null)
      throw new VsimgError('not-found', `'${text}' goes beyond version ${number}, which has no parent`, {
        hint: "'vsimg log' shows the history",
      });
    number = parent;
  }
  return number;
}

function resolveBase(base: string, context: RevisionContext): number {
  const { versions, refs, head } = context;
  if (base === 'HEAD') {
    if (head === null)
      throw new VsimgError('not-found', 'HEAD names no version: the image has none yet', {
        hint: "make one with 'vsimg commit'",
      });
    return head;
  }
  const number = /^[0-9]{1,15}$/.test(base) ? Number(base) : undefined;
  if (number !== undefined && versions.get(number) !== undefined) return number;
  const ref = refs.get(base);
  if (ref !== undefined) return ref.version;
  if (/^[0-9a-f]+$/i.test(base) && base.length >= MIN_ID_DIGITS && base.length <= 32) {
    const found = versions.withIdPrefix(base.toLowerCase(), 5);
    if (found.length === 1) return found[0] as number;
    if (found.length > 1) {
      const list = found.map((item) => `${hex(versions.need(item).id).slice(0, 12)} (version ${item})`);
      throw new VsimgError('usage', `'${base}' is the start of several version ids: ${list.join(', ')}`, {
        hint: 'give more digits',
      });
    }
  }
  throw new VsimgError(
    'not-found',
    number === undefined ? `there is no version, tag or branch '${base}'` : `there is no version ${base}`,
    { hint: suggestion(base, context) },
  );
}

function suggestion(base: string, { refs, versions }: RevisionContext): string {
  const foreign = foreignRevisionHint(base);
  if (foreign !== undefined) return foreign;
  const nearest = nearestRef(base, refs);
  if (nearest !== undefined) return `did you mean '${nearest.name}'?`;
  return versions.count === 0
    ? "the image has no versions yet: make one with 'vsimg commit'"
    : "'vsimg log' lists them";
}

/** The tag or branch that `name` may be a slip for: more than half of it must be right. */
export function nearestRef(name: string, refs: Refs, kind?: RefKind): NamedRef | undefined {
  let best: NamedRef | undefined;
  let bestDistance = 3;
  let seen = 0;
  for (const ref of refs.all()) {
    if (++seen > 1000) break;
    if (kind !== undefined && ref.kind !== kind) continue;
    const distance = editDistance(name, ref.name);
    if (distance >= bestDistance || distance * 2 > Math.max(name.length, ref.name.length)) continue;
    best = ref;
    bestDistance = distance;
  }
  return best;
}

/** Levenshtein distance; names longer than 64 characters count as far apart. */
function editDistance(a: string, b: string): number {
  if (a.length > 64 || b.length > 64) return Number.POSITIVE_INFINITY;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, change));
    }
    row = next;
  }
  return row[b.length] as number;
}
