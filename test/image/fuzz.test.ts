import { describe, expect, it } from 'vitest';
import { compile } from '../torture/fuzz/compile.ts';
import { seeds } from '../torture/fuzz/corpus.ts';
import { decompile } from '../torture/fuzz/decompile.ts';
import { fuzz } from '../torture/fuzz/run.ts';

describe('fuzzer', () => {
  it('takes containers apart and puts them together again as they were', async () => {
    for (const { name, bytes } of await seeds()) {
      const model = decompile(name, bytes);
      expect(Buffer.compare(compile(model), bytes), name).toBe(0);
      expect(model.pages.length + model.tables.length > 0).toBe(name !== 'empty');
    }
  });

  it('gets nothing but errors out of hostile containers', async () => {
    const told: string[] = [];
    const rows = await fuzz({
      scale: 1,
      executions: 1200,
      jobs: 2,
      guidedShare: 0,
      seed: 7,
      log: (line) => told.push(line),
    });
    expect(
      rows.filter(({ losses }) => losses > 0).map(({ what }) => what),
      told.join('\n'),
    ).toEqual([]);
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBeGreaterThanOrEqual(1200);
    expect(rows.every(({ count }) => count > 30)).toBe(true);
  }, 120_000);
});
