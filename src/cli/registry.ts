import type { CommandEntry } from './definition.ts';

/** All commands, in the order in which one meets them. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'create', summary: 'make a new, empty image', load: () => import('../commands/create.ts') },
  {
    name: 'import',
    summary: 'make a raw image or a device the next version',
    load: () => import('../commands/import.ts'),
  },
  { name: 'export', summary: 'write a version to a raw file or a device', load: () => import('../commands/export.ts') },
  { name: 'info', summary: 'describe an image', load: () => import('../commands/info.ts') },
  {
    name: 'status',
    summary: 'say what is checked out and what was changed',
    load: () => import('../commands/status.ts'),
  },
  { name: 'log', summary: 'list versions', load: () => import('../commands/log.ts') },
  { name: 'show', summary: 'show one version and what it changed', load: () => import('../commands/show.ts') },
  {
    name: 'rev-parse',
    summary: 'print which version a revision names',
    load: () => import('../commands/rev-parse.ts'),
  },
  { name: 'read', summary: 'print bytes of any version', load: () => import('../commands/read.ts') },
  { name: 'write', summary: 'change bytes of the working state', load: () => import('../commands/write.ts') },
  { name: 'resize', summary: 'change the size of the working state', load: () => import('../commands/resize.ts') },
  { name: 'commit', summary: 'make the working state a version', load: () => import('../commands/commit.ts') },
  { name: 'diff', summary: 'show ranges that differ between versions', load: () => import('../commands/diff.ts') },
  { name: 'map', summary: 'show where data lies and who wrote it', load: () => import('../commands/map.ts') },
  { name: 'blame', summary: 'show what last changed each range', load: () => import('../commands/blame.ts') },
  { name: 'compare', summary: 'compare the bytes of two disks', load: () => import('../commands/compare.ts') },
  { name: 'measure', summary: 'tell what an image would take', load: () => import('../commands/measure.ts') },
  { name: 'checkout', summary: 'make a version the working state', load: () => import('../commands/checkout.ts') },
  { name: 'tag', summary: 'list, make or delete names of versions', load: () => import('../commands/tag.ts') },
  { name: 'branch', summary: 'list, make or delete lines of history', load: () => import('../commands/branch.ts') },
  { name: 'amend', summary: 'change the message of a version', load: () => import('../commands/amend.ts') },
  { name: 'delete', summary: 'remove versions', load: () => import('../commands/delete.ts') },
  { name: 'du', summary: 'say which versions hold the space', load: () => import('../commands/du.ts') },
  {
    name: 'forget',
    summary: 'remove versions, except those that rules keep',
    load: () => import('../commands/forget.ts'),
  },
  {
    name: 'squash',
    summary: 'merge the versions between two into the later one',
    load: () => import('../commands/squash.ts'),
  },
  { name: 'batch', summary: 'carry out many commands as one change', load: () => import('../commands/batch.ts') },
  { name: 'serve', summary: 'serve the disk over the network by NBD', load: () => import('../commands/serve.ts') },
  { name: 'gc', summary: 'give back space that nothing needs', load: () => import('../commands/gc.ts') },
  { name: 'check', summary: 'verify an image', load: () => import('../commands/check.ts') },
  { name: 'bench', summary: 'measure how fast an image is', load: () => import('../commands/bench.ts') },
  {
    name: 'completion',
    summary: 'print a script that completes words in a shell',
    load: () => import('../commands/completion.ts'),
  },
  { name: 'help', summary: 'explain a command or a topic', load: () => import('../commands/help.ts') },
];

export function findCommand(name: string): CommandEntry | undefined {
  return COMMANDS.find((command) => command.name === name);
}
