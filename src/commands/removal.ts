import type { VersionInfo } from '../image/api.ts';

/** How the commands that remove versions tell of the tags that went with them. */
export function lostTagLines(removed: readonly VersionInfo[]): string[] {
  return removed.flatMap(({ number, tags }) => tags.map((tag) => `deleted tag ${tag} (was version ${number})`));
}
