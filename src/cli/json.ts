export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** One document, or each item of a list on a line of its own. */
export type JsonLayout = 'document' | 'lines';

/** One document as it is printed. */
export function formatJson(value: JsonValue, layout: JsonLayout = 'document'): string {
  return `${layout === 'lines' ? JSON.stringify(value) : JSON.stringify(value, null, 2)}\n`;
}

/** The members of `object` as they stand in a printed document, without its braces. */
function members(object: JsonObject): string {
  const text = JSON.stringify(object, null, 2);
  return text === '{}' ? '' : text.slice(2, -2);
}

/**
 * Prints one document around a list that is too long to hold: open, items, close. Each item is one line, and all there is in
 * the layout of lines.
 */
export class JsonListDocument {
  readonly #write: (text: string) => Promise<void>;
  readonly #layout: JsonLayout;
  #count = 0;
  #isBehind = false;

  constructor(write: (text: string) => Promise<void>, layout: JsonLayout = 'document') {
    this.#write = write;
    this.#layout = layout;
  }

  async open(head: JsonObject, listName: string): Promise<void> {
    if (this.#layout === 'lines') return;
    const before = members(head);
    await this.#write(`{\n${before === '' ? '' : `${before},\n`}  ${JSON.stringify(listName)}: [`);
  }

  async item(value: JsonValue): Promise<void> {
    if (this.#layout === 'lines') {
      if (!this.#isBehind) await this.#write(formatJson(value, 'lines'));
      return;
    }
    await this.#write(`${this.#count === 0 ? '' : ','}\n    ${JSON.stringify(value)}`);
    this.#count += 1;
  }

  /** Ends the list and opens another one behind it, which is no part of the layout of lines. */
  async openAnother(listName: string): Promise<void> {
    this.#isBehind = true;
    if (this.#layout === 'lines') return;
    await this.#write(`${this.#count === 0 ? '' : '\n  '}],\n  ${JSON.stringify(listName)}: [`);
    this.#count = 0;
  }

  async close(tail: JsonObject = {}): Promise<void> {
    if (this.#layout === 'lines') return;
    const after = members(tail);
    await this.#write(`${this.#count === 0 ? '' : '\n  '}]${after === '' ? '' : `,\n${after}`}\n}\n`);
  }
}
