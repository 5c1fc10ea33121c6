import type { HeatMap } from '../image/api.ts';
import type { HeatLabels } from './heat-bars.ts';
import { formatSize } from './size.ts';
import { fitWidth } from './table.ts';

const COLUMN_PIXELS = 2;
const ROW_PIXELS = 20;
const BAR_PIXELS = 16;
const MARGIN_PIXELS = 16;
const NAME_PIXELS = 72;
const NOTE_PIXELS = 260;
const NOTE_CHARACTERS = 34;
const TITLE_PIXELS = 28;
const FOOT_PIXELS = 44;
const TICKS = 4;
/** Of the disk in a picture. */
export const SVG_COLUMNS = 320;
/** Successive multiples of the golden angle are far apart, however many there are. */
const GOLDEN_DEGREES = 137.508;

const STYLE =
  'text{font:12px ui-monospace,monospace;fill:#1f2328}.page{fill:#fff}.ground{fill:#e6eaef}.faint{fill:#59636e}' +
  '@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}.ground{fill:#262c36}.faint{fill:#9198a1}}';

/** The picture as a document of its own, readable on light and dark pages. */
export function heatSvg(
  heat: HeatMap,
  { title, labels }: { readonly title: string; readonly labels: HeatLabels },
): string {
  const barPixels = SVG_COLUMNS * COLUMN_PIXELS;
  const left = MARGIN_PIXELS + NAME_PIXELS;
  const width = left + barPixels + NOTE_PIXELS + MARGIN_PIXELS;
  const bottom = MARGIN_PIXELS + TITLE_PIXELS + heat.rows.length * ROW_PIXELS;
  const height = bottom + FOOT_PIXELS;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${xml(title)}">`,
    `<title>${xml(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<text x="${MARGIN_PIXELS}" y="${MARGIN_PIXELS + 12}">${xml(title)}</text>`,
  ];
  for (const [index, row] of heat.rows.entries()) {
    const top = MARGIN_PIXELS + TITLE_PIXELS + index * ROW_PIXELS;
    const baseline = top + BAR_PIXELS - 4;
    const note = fitWidth(labels.note(row.version), NOTE_CHARACTERS);
    parts.push(
      `<text x="${left - 8}" y="${baseline}" text-anchor="end">${xml(labels.name(row.version))}</text>`,
      `<rect class="ground" x="${left}" y="${top}" width="${barPixels}" height="${BAR_PIXELS}"/>`,
      ...bands(row.cells, { left, top, barPixels, labels }),
      `<text class="faint" x="${left + barPixels + 8}" y="${baseline}">${xml(note)}</text>`,
    );
  }
  for (let tick = 0; tick <= TICKS; tick++) {
    const x = left + (barPixels * tick) / TICKS;
    const anchor = tick === 0 ? 'start' : tick === TICKS ? 'end' : 'middle';
    const position = formatSize(Math.round(heat.start + ((heat.end - heat.start) * tick) / TICKS));
    parts.push(`<text class="faint" x="${x}" y="${bottom + 14}" text-anchor="${anchor}">${position}</text>`);
  }
  const legend = 'colour: the version that changed it last; pale: made zeros; grey: never written';
  parts.push(`<text class="faint" x="${left}" y="${bottom + 34}">${legend}</text>`, '</svg>', '');
  return parts.join('\n');
}

interface Bar {
  readonly left: number;
  readonly top: number;
  readonly barPixels: number;
  readonly labels: HeatLabels;
}

/** One path for all that a version has of a bar. */
function bands(cells: HeatMap['rows'][number]['cells'], { left, top, barPixels, labels }: Bar): string[] {
  const paths = new Map<string, { readonly version: number | null; readonly kind: string; shape: string }>();
  const x = (column: number): number => left + Math.round((column * barPixels) / cells.length);
  for (let at = 0; at < cells.length; ) {
    const cell = cells[at];
    let end = at + 1;
    while (end < cells.length && cells[end]?.version === cell?.version && cells[end]?.kind === cell?.kind) end++;
    if (cell !== undefined) {
      const key = `${cell.kind} ${cell.version}`;
      const path = paths.get(key) ?? { ...cell, shape: '' };
      path.shape += `M${x(at)} ${top}H${x(end)}v${BAR_PIXELS}H${x(at)}z`;
      paths.set(key, path);
    }
    at = end;
  }
  return [...paths.values()].map(({ version, kind, shape }) => {
    const pale = kind === 'zero' ? ' fill-opacity="0.3"' : '';
    const name = version === null ? 'not committed' : `version ${labels.name(version)}`;
    return `<path fill="${colourOf(version)}"${pale} d="${shape}"><title>${xml(name)}</title></path>`;
  });
}

/** Saturated and of middling lightness, so that it stands out from white and from black. */
function colourOf(version: number | null): string {
  return version === null ? '#8b949e' : rgb((version * GOLDEN_DEGREES) % 360, 0.6, 0.52);
}

function rgb(hueDegrees: number, saturation: number, lightness: number): string {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number): string => {
    const at = (offset + hueDegrees / 30) % 12;
    const value = lightness - reach * Math.max(-1, Math.min(at - 3, 9 - at, 1));
    return Math.round(255 * value)
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text that holds no control characters any more, as XML; two further characters have no place in it. */
function xml(text: string): string {
  return text.replace(/[\ufffe\uffff]/g, '').replace(/[&<>"]/g, (character) => ENTITIES[character] ?? '');
}
