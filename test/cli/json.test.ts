import { describe, expect, it } from 'vitest';
import { formatJson, JsonListDocument, type JsonObject } from '../../src/cli/json.ts';

async function document(head: JsonObject, items: readonly JsonObject[], tail?: JsonObject): Promise<string> {
  let text = '';
  const list = new JsonListDocument(async (part) => {
    text += part;
  });
  await list.open(head, 'list');
  for (const item of items) await list.item(item);
  await list.close(tail);
  return text;
}

describe('JSON output', () => {
  it('ends with a line feed', () => {
    expect(formatJson({ a: 1 })).toBe('{\n  "a": 1\n}\n');
  });

  it.each([
    { head: {}, items: [], tail: {} },
    { head: { a: 1 }, items: [], tail: { z: [1, { y: null }] } },
    { head: { a: { b: 'x"\n' } }, items: [{ n: 1 }, { n: 2 }], tail: {} },
    { head: {}, items: [{ n: 1 }], tail: { z: 0 } },
  ])('prints a list piece by piece as one document: %j', async ({ head, items, tail }) => {
    const text = await document(head, items, tail);
    expect(JSON.parse(text)).toEqual({ ...head, list: items, ...tail });
    expect(text.endsWith('}\n')).toBe(true);
  });
});
