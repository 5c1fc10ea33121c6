import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { scratchDirectory } from '../support/scratch.ts';

interface Results {
  readonly groups: readonly {
    readonly group: string;
    readonly failures: readonly string[];
    readonly figures: readonly { readonly what: string; readonly value: number; readonly met?: boolean }[];
  }[];
}

function bench(...args: readonly string[]) {
  return spawnSync(process.execPath, ['test/bench/run.mjs', ...args], { encoding: 'utf8' });
}

describe('the benchmark', () => {
  // It measures memory with GNU time, and would install it.
  it.skipIf(!existsSync('/usr/bin/time'))(
    'measures a group, as a table, as JSON and as a picture',
    { timeout: 60_000 },
    () => {
      const directory = scratchDirectory();
      const json = join(directory, 'results.json');
      const svg = join(directory, 'results.svg');
      const { status, stdout, stderr } = bench('--small', '--runs=1', `--json=${json}`, `--svg=${svg}`, 'small');
      expect(stderr).toBe('');
      expect(status).toBe(0);
      expect(stdout).toMatch(/^\| `info` to `node -e 0` \| [\d.]+ x \| at most 1\.4 x: (met|\*\*missed\*\*) \|/m);
      const { groups } = JSON.parse(readFileSync(json, 'utf8')) as Results;
      expect(groups.map(({ group, failures }) => ({ group, failures }))).toEqual([{ group: 'small', failures: [] }]);
      const ratios = groups[0]?.figures.filter(({ what }) => what.endsWith('to `node -e 0`')) ?? [];
      expect(ratios.map(({ met }) => typeof met)).toEqual(Array.from({ length: 6 }, () => 'boolean'));
      for (const { value } of ratios) expect(value).toBeGreaterThan(0);
      expect(readFileSync(svg, 'utf8').match(/class="(met|missed)"/g)?.length).toBeGreaterThanOrEqual(ratios.length);
    },
  );

  it('names the groups there are', () => {
    const { status, stdout, stderr } = bench('speed');
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^bench: no group 'speed': there are space, .*experiment\n$/);
  });
});
