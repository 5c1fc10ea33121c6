import { formatSize } from '../cli/size.ts';
import { subject } from '../cli/table.ts';
import { formatTime } from '../cli/time.ts';
import { shortId } from '../cli/version-view.ts';
import type { VersionInfo } from '../image/api.ts';

/** How `commit` and `import` tell of the version they made. */
export function commitLines(version: VersionInfo, branch: string | null): string[] {
  const tags = version.tags.map((tag) => `, tag ${tag}`).join('');
  return [
    `[${branch ?? 'detached HEAD'} ${version.number} ${shortId(version.id)}] ${subject(version.message)}`,
    ` id ${version.id}, parent ${version.parent ?? 'none'}`,
    ` ${formatTime(version.timeSeconds)}, ${formatSize(version.sizeBytes)}${tags}`,
  ];
}
