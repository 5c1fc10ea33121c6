import { type Figure, formatQuantity, isMet } from './report.ts';

const WIDTH = 820;
const LABEL_WIDTH = 440;
const PLOT_WIDTH = 300;
const ROW_HEIGHT = 22;
const TOP = 46;
/** Where the axis ends; longer bars are cut there. */
const MOST = 1.6;

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.quiet { fill: #59636e; }
.met { fill: #1a7f37; }
.missed { fill: #bc4c00; }
.peer { stroke: #59636e; stroke-dasharray: 3 3; }
.limit { stroke: #1f2328; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.quiet { fill: #9198a1; }
.met { fill: #3fb950; }
.missed { fill: #f0883e; }
.peer { stroke: #9198a1; }
.limit { stroke: #e6edf3; }
}`;

function escaped(text: string): string {
  return text.replaceAll('`', '').replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** "- the same to X" belongs to the figure above it. */
function labels(figures: readonly Figure[]): { readonly figure: Figure; readonly label: string }[] {
  return figures.map((figure) => ({ figure, label: escaped(figure.what.replace(/^- /, '\u2003')) }));
}

/** Ratios to peers as bars, each with a mark where its own bar is. SVG for light and dark pages. */
export function drawChart(figures: readonly Figure[]): string {
  const rows = labels(figures).filter(({ figure }) => figure.unit === 'x' && isMet(figure) !== undefined);
  const x = (value: number): number => LABEL_WIDTH + (Math.min(value, MOST) / MOST) * PLOT_WIDTH;
  const height = TOP + rows.length * ROW_HEIGHT + 10;
  const drawn = rows.map(({ figure, label }, index) => {
    const y = TOP + index * ROW_HEIGHT;
    const limit = x(figure.atMost ?? 0);
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${y + 12}" text-anchor="end">${label}</text>`,
      `<rect class="${isMet(figure) === true ? 'met' : 'missed'}" x="${LABEL_WIDTH}" y="${y + 2}" width="${(x(figure.value) - LABEL_WIDTH).toFixed(1)}" height="12" rx="2"/>`,
      `<path class="limit" d="M${limit.toFixed(1)} ${y - 1}v18"/>`,
      `<text class="quiet" x="${LABEL_WIDTH + PLOT_WIDTH + 8}" y="${y + 12}">${formatQuantity(figure)}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Ratios to peers">
<style>${STYLE}
</style>
<text class="quiet" x="${LABEL_WIDTH}" y="14">ratio to the peer: shorter is better; | is the bar</text>
<text class="quiet" x="${x(1)}" y="32" text-anchor="middle">peer</text>
<path class="peer" d="M${x(1)} 38V${height - 8}"/>
${drawn.join('\n')}
</svg>
`;
}
