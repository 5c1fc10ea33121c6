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

  it.each(['document', 'lines'] as const)('prints a second list behind it, but not in lines: %s', async (layout) => {
    for (const [items, others] of [
      [[], []],
      [[{ n: 1 }], []],
      [[], [{ m: 2 }]],
      [
        [{ n: 1 }, { n: 2 }],
        [{ m: 3 }, { m: 4 }],
      ],
    ] as const) {
      let text = '';
      const list = new JsonListDocument(async (part) => {
        text += part;
      }, layout);
      await list.open({ a: 1 }, 'list');
      for (const item of items) await list.item(item);
      await list.openAnother('others');
      for (const item of others) await list.item(item);
      await list.close({ z: 0 });
      if (layout === 'document') expect(JSON.parse(text)).toEqual({ a: 1, list: items, others, z: 0 });
      else expect(text).toBe(items.map((item) => `${JSON.stringify(item)}\n`).join(''));
    }
  });
});
