import { formatQuantity, isMet, type Report } from './report.ts';

const WIDTH = 820;
const LABEL_WIDTH = 440;
const PLOT_WIDTH = 300;
const ROW_HEIGHT = 22;
const GAP = 8;
const TOP = 38;
/** Where the axis ends; longer bars are cut there. */
const MOST = 1.6;

const STYLE = `
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
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

/** Ratios to peers as bars, each with a mark where its own bar is. SVG for light and dark pages. */
export function drawChart(reports: readonly Report[]): string {
  const x = (value: number): string => (LABEL_WIDTH + (Math.min(value, MOST) / MOST) * PLOT_WIDTH).toFixed(1);
  let y = TOP;
  const drawn: string[] = [];
  for (const { title, figures } of reports) {
    const shown = figures.filter((figure) => figure.unit === 'x' && figure.atMost !== undefined);
    if (shown.length === 0) continue;
    drawn.push(`<text class="title" x="0" y="${y + 14}">${escaped(title)}</text>`);
    y += ROW_HEIGHT;
    for (const figure of shown) {
      // "- the same" is the figure above it in another respect.
      const isPart = figure.what.startsWith('- ');
      drawn.push(
        `<text x="${isPart ? 24 : 12}" y="${y + 13}">${escaped(isPart ? figure.what.slice(2) : figure.what)}</text>`,
        `<path class="${isMet(figure) === true ? 'met' : 'missed'}" d="M${LABEL_WIDTH} ${y + 3}H${x(figure.value)}v12H${LABEL_WIDTH}z"/>`,
        `<path class="limit" d="M${x(figure.atMost ?? 0)} ${y}v18"/>`,
        `<text class="quiet" x="${LABEL_WIDTH + PLOT_WIDTH + 8}" y="${y + 13}">${formatQuantity(figure)}</text>`,
      );
      y += ROW_HEIGHT;
    }
    y += GAP;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img" aria-label="Ratios to peers">
<style>${STYLE}
</style>
<text class="quiet" x="${LABEL_WIDTH}" y="13">shorter is better; the upright stroke is the aim</text>
<text class="quiet" x="${x(1)}" y="30" text-anchor="middle">peer</text>
<path class="peer" d="M${x(1)} 36V${y - GAP}"/>
${drawn.join('\n')}
</svg>
`;
}
