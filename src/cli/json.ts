export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** One document as it is printed. */
export function formatJson(value: JsonValue): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** The members of `object` as they stand in a printed document, without its braces. */
function members(object: JsonObject): string {
  const text = JSON.stringify(object, null, 2);
  return text === '{}' ? '' : text.slice(2, -2);
}

/**
 * Prints one document around a list that is too long to hold: open, items, close. Each item is one line.
 */
export class JsonListDocument {
  readonly #write: (text: string) => Promise<void>;
  #count = 0;

  constructor(write: (text: string) => Promise<void>) {
    this.#write = write;
  }

  async open(head: JsonObject, listName: string): Promise<void> {
    const before = members(head);
    await this.#write(`{\n${before === '' ? '' : `${before},\n`}  ${JSON.stringify(listName)}: [`);
  }

  async item(value: JsonValue): Promise<void> {
    await this.#write(`${this.#count === 0 ? '' : ','}\n    ${JSON.stringify(value)}`);
    this.#count += 1;
  }

  async close(tail: JsonObject = {}): Promise<void> {
    const after = members(tail);
    await this.#write(`${this.#count === 0 ? '' : '\n  '}]${after === '' ? '' : `,\n${after}`}\n}\n`);
  }
}
