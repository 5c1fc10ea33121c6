export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/**
 * Terminal columns that `text` takes, character by character as wcwidth(3) and git count: wide East Asian characters and
 * emoji take two, combining marks and what has no shape of its own none.
 */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) {
    if (SHAPELESS.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}

/** The soft hyphen is shown; vowels and finals of Hangul stand in the syllable that began before them. */
const SHAPELESS = /^(?!\u00ad)[\p{Mn}\p{Me}\p{Cf}\u1160-\u11ff\ud7b0-\ud7ff]$/u;

/** Flags are made of two letters, each of one column. */
const WIDE =
  /^(?![\u{1f1e6}-\u{1f1ff}])[\p{Emoji_Presentation}\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18cff}\u{1b000}-\u{1b2ff}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]$/u;

/** Cuts `text` to `width` terminal columns, the last of them an ellipsis if anything was cut. */
export function fitWidth(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  let used = 0;
  for (const character of text) {
    const next = displayWidth(character);
    if (used + next > width - 1) break;
    kept += character;
    used += next;
  }
  return `${kept}…`;
}

/** Pads to `width` terminal columns. */
export function pad(text: string, width: number, align: Column['align']): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + space : space + text;
}

/** Lines of a table with its title line first, columns two spaces apart, nothing behind the last cell. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  return formatRows(columns, [columns.map((column) => column.title), ...rows]);
}

/** The same without a title line. */
export function formatRows(columns: readonly Column[], all: readonly (readonly string[])[]): string[] {
  const widths = columns.map((_, index) => Math.max(...all.map((row) => displayWidth(row[index] ?? ''))));
  return all.map((row) =>
    columns
      .map((column, index) => pad(row[index] ?? '', widths[index] ?? 0, column.align))
      .join('  ')
      .trimEnd(),
  );
}

/** Lines of `label: value` pairs, values below each other. */
export function formatFields(fields: readonly (readonly [label: string, value: string])[]): string[] {
  const width = Math.max(...fields.map(([label]) => displayWidth(label))) + 2;
  return fields.map(([label, value]) => pad(`${label}:`, width, 'left') + value);
}

/** A user's text for one line of a terminal: control characters are spelled out. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    if (character === '\n') return ' ';
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/** The first line of a message, fit to show. */
export function subject(message: string): string {
  return oneLine(message.split('\n', 1)[0] ?? '');
}
