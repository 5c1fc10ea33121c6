import type { HeatMap } from '../image/api.ts';
import type { Paint } from './paint.ts';
import { formatSize } from './size.ts';
import { fitWidth, pad } from './table.ts';

/** What stands beside a bar, for each row of the picture. */
export interface HeatLabels {
  readonly name: (version: number | null) => string;
  readonly note: (version: number | null) => string;
}

/** Written by the state of the row itself, by that of the row below, by an older one; zeros; never written. */
const SHADES = { own: '█', next: '▓', old: '▒', zero: '░', nothing: '·' } as const;
const LEGEND = '█ changed by that version  ▓ by the next older  ▒ before  ░ zeroed  · never';
/** Of the line, for the notes. */
const NOTE_SHARE = 0.3;

/** Columns of the terminal that are left for a bar. */
export function barWidth(columns: number, names: readonly string[]): number {
  const nameWidth = Math.max(...names.map((name) => name.length));
  return Math.max(8, Math.floor(columns * (1 - NOTE_SHARE)) - nameWidth - 1);
}

/** The picture for a terminal: a bar for each state, newest first; shades alone tell enough where there is no colour. */
export function heatLines(
  heat: HeatMap,
  { paint, columns, labels }: { readonly paint: Paint; readonly columns: number; readonly labels: HeatLabels },
): string[] {
  const nameWidth = Math.max(...heat.rows.map(({ version }) => labels.name(version).length));
  const lines = heat.rows.map(({ version, cells }, index) => {
    const older = heat.rows[index + 1]?.version;
    let bar = '';
    for (let at = 0; at < cells.length; ) {
      const cell = cells[at];
      let end = at + 1;
      while (end < cells.length && isSame(cells[end], cell)) end++;
      const shade = cell === undefined ? SHADES.nothing : shadeOf(cell, version, older);
      const text = shade.repeat(end - at);
      bar += cell === undefined ? paint.faint(text) : hue(paint, cell.version)(text);
      at = end;
    }
    const note = fitWidth(labels.note(version), Math.max(0, columns - nameWidth - cells.length - 2));
    return `${pad(labels.name(version), nameWidth, 'right')} ${bar} ${note}`.trimEnd();
  });
  const barColumns = heat.rows[0]?.cells.length ?? 0;
  const [left, right] = [formatSize(heat.start), formatSize(heat.end)];
  const axis = `${' '.repeat(nameWidth + 1)}${left}${right.padStart(Math.max(right.length + 1, barColumns - left.length))}`;
  return [...lines, axis, fitWidth(LEGEND, columns)];
}

type Cell = HeatMap['rows'][number]['cells'][number];

function isSame(a: Cell, b: Cell): boolean {
  return a?.version === b?.version && a?.kind === b?.kind;
}

function shadeOf(
  cell: NonNullable<Cell>,
  version: number | null,
  older: number | null | undefined,
): (typeof SHADES)[keyof typeof SHADES] {
  if (cell.kind === 'zero') return SHADES.zero;
  if (cell.version === version) return SHADES.own;
  return cell.version === older ? SHADES.next : SHADES.old;
}

function hue(paint: Paint, version: number | null): (text: string) => string {
  const { hues } = paint;
  return version === null ? paint.strong : (hues[version % hues.length] ?? paint.strong);
}
