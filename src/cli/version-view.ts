import type { HeadInfo, VersionInfo } from '../image/api.ts';
import type { JsonObject } from './json.ts';
import type { Paint } from './paint.ts';
import { formatExactSize } from './size.ts';
import { oneLine, subject } from './table.ts';
import { formatTime } from './time.ts';

/** As many digits of an id as tell versions apart at a glance. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** A version as every command's JSON shows it. */
export function describeVersion(version: VersionInfo): JsonObject {
  return {
    version: version.number,
    'version-id': version.id,
    parent: version.parent,
    'parent-id': version.parentId,
    next: version.next,
    'virtual-size': version.sizeBytes,
    date: formatTime(version.timeSeconds),
    'date-sec': Math.floor(version.timeSeconds),
    message: version.message,
    'first-message': version.firstMessage,
    locked: version.isLocked,
    tags: version.tags,
    branches: version.branches,
    head: version.isHead,
  };
}

export function describeHead(head: HeadInfo): JsonObject {
  return { branch: head.branch, version: head.version, dirty: head.dirty, 'virtual-size': head.workingSizeBytes };
}

/** ` (HEAD -> main, tag: v1, locked)` as git decorates commits; empty where no name points at the version and no lock keeps it. */
export function decoration(version: VersionInfo, headBranch: string | null, paint: Paint): string {
  const names: string[] = [];
  if (version.isHead) {
    const onBranch = headBranch !== null && version.branches.includes(headBranch);
    names.push(onBranch ? `HEAD -> ${headBranch}` : 'HEAD');
  }
  names.push(...version.tags.map((tag) => `tag: ${tag}`));
  names.push(...version.branches.filter((branch) => !(version.isHead && branch === headBranch)));
  if (version.isLocked) names.push('locked');
  return names.length === 0
    ? ''
    : ` ${paint.faint('(')}${names.map((name) => paint.ref(oneLine(name))).join(', ')}${paint.faint(')')}`;
}

/** `3 1a2b3c4d (HEAD -> main) message`. */
export function versionLine(version: VersionInfo, headBranch: string | null, paint: Paint): string {
  const name = paint.version(`${version.number} ${shortId(version.id)}`);
  return `${name}${decoration(version, headBranch, paint)} ${subject(version.message)}`.trimEnd();
}

/** A version with all its fields and its whole message, on lines of their own. */
export function versionEntry(version: VersionInfo, headBranch: string | null, paint: Paint): string[] {
  return [
    `${paint.version(`version ${version.number}`)}${decoration(version, headBranch, paint)}`,
    `Id:     ${version.id}`,
    `Parent: ${version.parent ?? 'none'}`,
    `Date:   ${formatTime(version.timeSeconds)}`,
    `Size:   ${formatExactSize(version.sizeBytes)}`,
    '',
    ...messageLines(version.message).map((line) => `    ${line}`),
  ];
}

/** The lines of a whole message, fit to show. */
function messageLines(message: string): string[] {
  return message.replace(/\n+$/, '').split('\n').map(oneLine);
}
