/** Draws what a program printed on a terminal, with its colours, as a standalone SVG that reads well on light and dark pages. */

const COLUMN = 8.4;
const LINE = 19;
const MARGIN = 14;
const BACKGROUND = '#10151c';
const FOREGROUND = '#d6dde6';
const BASIC = ['#4b5563', '#ff7b72', '#7ee787', '#e3b341', '#79c0ff', '#d2a8ff', '#56d4dd', '#f0f6fc'];
/** Codes of styles between ESC [ and m. */
const STYLING = new RegExp(`${String.fromCharCode(27)}\\[([0-9;]*)m`);
const CUBE = [0, 95, 135, 175, 215, 255];

function escapeXml(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The colour that number `index` of the 256 is on most terminals. */
function indexed(index) {
  if (index < 16) return BASIC[index % 8];
  if (index >= 232) return grey(8 + 10 * (index - 232));
  const [red, green, blue] = [Math.floor((index - 16) / 36), Math.floor((index - 16) / 6) % 6, (index - 16) % 6];
  return `rgb(${CUBE[red]},${CUBE[green]},${CUBE[blue]})`;
}

function grey(level) {
  return `rgb(${level},${level},${level})`;
}

/** The style after the codes of one escape sequence (ECMA-48, SGR). */
function restyle(style, codes) {
  let next = style;
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at];
    if (code === 0) next = {};
    else if (code === 1) next = { ...next, bold: true };
    else if (code === 2) next = { ...next, faint: true };
    else if (code === 22) next = { ...next, bold: false, faint: false };
    else if (code >= 30 && code <= 37) next = { ...next, colour: BASIC[code - 30] };
    else if (code >= 90 && code <= 97) next = { ...next, colour: BASIC[code - 90] };
    else if (code >= 40 && code <= 47) next = { ...next, behind: BASIC[code - 40] };
    else if (code === 39) next = { ...next, colour: undefined };
    else if (code === 49) next = { ...next, behind: undefined };
    else if (code === 38 || code === 48) {
      const isIndexed = codes[at + 1] === 5;
      const colour = isIndexed ? indexed(codes[at + 2]) : `rgb(${codes.slice(at + 2, at + 5).join()})`;
      next = { ...next, [code === 38 ? 'colour' : 'behind']: colour };
      at += isIndexed ? 2 : 4;
    }
  }
  return next;
}

/** One line as pieces of one style each. */
function pieces(line, style) {
  const found = [];
  let current = style;
  let column = 0;
  // Text, codes, text, codes ...: the group that split() captures comes back between the texts.
  for (const [index, part] of line.split(STYLING).entries()) {
    if (index % 2 === 1) {
      current = restyle(current, part.split(';').map(Number));
      continue;
    }
    if (part !== '') found.push({ column, text: part, style: current });
    column += [...part].length;
  }
  return { found, style: current, width: column };
}

/** `text`: what came out of a terminal, lines ended as it does; only colours and styles are understood. */
export function drawTerminal(text, { columns, title }) {
  const rows = text.replaceAll('\r', '').replace(/\n+$/, '').split('\n');
  const drawn = [];
  let style = {};
  for (const [row, line] of rows.entries()) {
    const result = pieces(line, style);
    style = result.style;
    if (result.width > columns) throw new Error(`a line has ${result.width} columns: ${line}`);
    for (const piece of result.found) drawn.push(drawPiece(piece, row));
  }
  const [width, height] = [columns * COLUMN + 2 * MARGIN, rows.length * LINE + 2 * MARGIN];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>`,
    `<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace" font-size="14" fill="${FOREGROUND}" xml:space="preserve">`,
    ...drawn,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

function drawPiece({ column, text, style }, row) {
  const x = (MARGIN + column * COLUMN).toFixed(1);
  const y = MARGIN + row * LINE;
  const length = ([...text].length * COLUMN).toFixed(1);
  const colour = style.colour === undefined ? '' : ` fill="${style.colour}"`;
  const bold = style.bold ? ' font-weight="bold"' : '';
  const faint = style.faint ? ' opacity="0.6"' : '';
  const behind =
    style.behind === undefined
      ? ''
      : `<rect x="${x}" y="${y}" width="${length}" height="${LINE}" fill="${style.behind}"/>`;
  if (text.trim() === '') return behind;
  return `${behind}<text x="${x}" y="${y + 14}" textLength="${length}"${colour}${bold}${faint}>${escapeXml(text)}</text>`;
}
