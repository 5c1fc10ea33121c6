import { VsimgError } from '../errors.ts';
import { turnGiver } from '../storage/turns.ts';
import type { CalendarSpan, ForgetReport, KeepPolicy } from './api.ts';
import type { Container } from './container.ts';

/** What deciding needs to know of a version. */
export interface Candidate {
  readonly number: number;
  readonly timeSeconds: number;
  readonly tags: readonly string[];
  /** Why it stays in any case. */
  readonly protections: readonly string[];
}

export interface ForgetPlan {
  readonly keep: ForgetReport['kept'];
  readonly remove: readonly number[];
}

/** `planForget` for all versions of a container. Errors: 'usage' without a rule, 'not-found' for a tag to keep that there is not. */
export async function findForgettable(
  container: Container,
  policy: KeepPolicy,
  nowSeconds: number,
): Promise<ForgetPlan> {
  if (!hasRule(policy)) {
    throw new VsimgError('usage', 'no rule says what to keep', { hint: 'give one, such as --keep-last 10' });
  }
  for (const name of policy.tags ?? []) {
    if (/[*?]/.test(name) || container.refs.get(name)?.kind === 'tag') continue;
    throw new VsimgError('not-found', `there is no tag '${name}' to keep`, {
      // Names may hold commas: what is one name is known only now.
      hint: name.includes(',') ? 'give --keep-tag once for each tag' : "'vsimg tag' lists them",
    });
  }
  return planForget(await candidatesOf(container), policy, nowSeconds);
}

function hasRule({ within, tags, last, hourly, daily, weekly, monthly, yearly }: KeepPolicy): boolean {
  const counts = [last, hourly, daily, weekly, monthly, yearly];
  return within !== undefined || (tags ?? []).length > 0 || counts.some((count) => (count ?? 0) > 0);
}

async function candidatesOf({ versions, refs, head, inUse }: Container): Promise<Candidate[]> {
  const tags = new Map<number, string[]>();
  const branches = new Map<number, string[]>();
  for (const { name, kind, version } of refs.all()) {
    const names = kind === 'tag' ? tags : branches;
    names.set(version, [...(names.get(version) ?? []), name]);
  }
  const giveTurn = turnGiver();
  const found: Candidate[] = [];
  for (const { number, timeSeconds, locked } of versions.newestFirst()) {
    const protections = (branches.get(number) ?? []).map((name) => `branch ${name}`);
    if (locked === true) protections.push('locked');
    if (number === head.version) protections.push('HEAD');
    if (inUse.has(number)) protections.push('in use');
    found.push({ number, timeSeconds, tags: tags.get(number) ?? [], protections });
    await giveTurn();
  }
  return found;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** The last one that a Date can tell. */
const LATEST_SECONDS = 8.64e12;

/** The rules that count periods, each with the period that a time lies in. */
const PERIODS = [
  ['last', (_, index) => index],
  ['hourly', (date) => Math.floor(date.getTime() / HOUR_MS)],
  ['daily', (date) => Math.floor(date.getTime() / DAY_MS)],
  // The first of January 1970 was a Thursday; weeks begin on Mondays.
  ['weekly', (date) => Math.floor((date.getTime() / DAY_MS + 3) / 7)],
  ['monthly', (date) => date.getUTCFullYear() * 12 + date.getUTCMonth()],
  ['yearly', (date) => date.getUTCFullYear()],
] as const satisfies readonly (readonly [keyof KeepPolicy, (date: Date, index: number) => number])[];

/**
 * Which versions stay, and why, by the rules of restic: from the newest to the oldest, a rule that counts keeps a version that
 * lies in another period than the last one it kept, until its count is used up. While some is left, it also keeps the
 * oldest version, so that history reaches back as far as it can. Versions that stay for another reason are counted too.
 */
export function planForget(candidates: readonly Candidate[], policy: KeepPolicy, nowSeconds: number): ForgetPlan {
  const ordered = [...candidates].sort((a, b) => b.timeSeconds - a.timeSeconds || b.number - a.number);
  const rules = PERIODS.map(([name, period]) => ({ name, period, left: policy[name] ?? 0, last: Number.NaN }));
  const { within } = policy;
  const latest = ordered.find(({ timeSeconds }) => timeSeconds <= nowSeconds)?.timeSeconds;
  const youngerThan = latest === undefined || within === undefined ? Number.NEGATIVE_INFINITY : before(latest, within);
  const keep: ForgetReport['kept'][number][] = [];
  const remove: number[] = [];
  for (const [index, { number, timeSeconds, tags, protections }] of ordered.entries()) {
    const reasons: string[] = [];
    const date = new Date(Math.min(timeSeconds, LATEST_SECONDS) * 1000);
    for (const rule of rules) {
      const period = rule.period(date, index);
      const isNext = period !== rule.last;
      if (rule.left <= 0 || !(isNext || index === ordered.length - 1)) continue;
      rule.left -= 1;
      rule.last = period;
      reasons.push(isNext ? rule.name : `oldest ${rule.name}`);
    }
    if (within !== undefined && timeSeconds > youngerThan) reasons.push(`within ${spanText(within)}`);
    for (const tag of tags)
      if (policy.tags?.some((pattern) => isMatch(pattern, tag)) === true) reasons.push(`tag ${tag}`);
    reasons.push(...protections);
    if (reasons.length === 0) remove.push(number);
    else keep.push({ number, reasons });
  }
  return { keep, remove };
}

/** Names hold neither `*` nor `?`, so that every one of them is a pattern for itself. */
function isMatch(pattern: string, name: string): boolean {
  let at = 0;
  let from = 0;
  let star = -1;
  let covered = 0;
  while (from < name.length) {
    if (pattern[at] === '*') {
      star = at++;
      covered = from;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[from])) {
      at++;
      from++;
    } else if (star >= 0) {
      // What follows the last star does not fit here: the star covers one more character.
      at = star + 1;
      from = ++covered;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(at));
}

function before(timeSeconds: number, { years, months, days, hours }: CalendarSpan): number {
  const date = new Date(Math.min(timeSeconds, LATEST_SECONDS) * 1000);
  date.setUTCFullYear(date.getUTCFullYear() - years, date.getUTCMonth() - months, date.getUTCDate() - days);
  date.setUTCHours(date.getUTCHours() - hours);
  const seconds = date.getTime() / 1000;
  return Number.isNaN(seconds) ? Number.NEGATIVE_INFINITY : seconds;
}

function spanText({ years, months, days, hours }: CalendarSpan): string {
  const parts: readonly (readonly [number, string])[] = [
    [years, 'y'],
    [months, 'm'],
    [days, 'd'],
    [hours, 'h'],
  ];
  return parts.map(([count, unit]) => (count === 0 ? '' : `${count}${unit}`)).join('');
}
