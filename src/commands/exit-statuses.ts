import { type Column, formatTable } from '../cli/table.ts';
import { type ErrorCode, EXIT_STATUS } from '../errors.ts';

/** What each status means; the key is the `code` that errors carry with --json. */
export const STATUS_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  differs: 'compare, diff --exit-code: they differ',
  'check-incomplete': 'check: it could not be carried out',
  'check-errors': 'check: there are errors',
  'check-leaks': 'check: there is leaked space, but no error',
  usage: 'wrong command line, such as an unknown option',
  corrupt: 'damaged, cut short or not an image at all',
  'not-found': 'no such file, version, tag or branch',
  unsupported: 'the image needs a feature this program lacks',
  internal: 'a fault inside the program; please report it',
  exists: 'the file, tag or branch exists already',
  io: 'reading or writing failed',
  locked: 'another process writes the image (see --wait)',
  permission: 'no permission, or a read-only file system',
  refused: 'the state forbids it: uncommitted changes ...',
  'no-space': 'no space left on the file system or device',
  hangup: 'stopped by SIGHUP: the terminal went away',
  interrupted: 'stopped by SIGINT (Ctrl-C)',
  'broken-pipe': "read, export: stdout's reader did not take all",
  terminated: 'stopped by SIGTERM',
};

const COLUMNS: readonly Column[] = [
  { title: 'STATUS', align: 'right' },
  { title: 'CODE', align: 'left' },
  { title: 'MEANING', align: 'left' },
];

/** The table of all statuses over all commands, in numerical order. */
export function statusTable(): string[] {
  const codes = Object.keys(STATUS_MEANINGS) as ErrorCode[];
  codes.sort((a, b) => EXIT_STATUS[a] - EXIT_STATUS[b]);
  const rows = codes.map((code) => [String(EXIT_STATUS[code]), code, STATUS_MEANINGS[code]]);
  return formatTable(COLUMNS, [['0', '', 'done, or nothing to complain about'], ...rows]);
}
