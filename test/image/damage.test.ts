import { expect, it } from 'vitest';
import { damageAll } from '../torture/damage/all.ts';
import { damageSubjects } from '../torture/damage/subjects.ts';

it('whatever is damaged, readers get the right bytes or an error, and check finds it', async () => {
  const told: string[] = [];
  const rows = await damageAll(await damageSubjects({ few: true }), {
    scale: 0.02,
    seed: 1,
    log: (line) => told.push(line),
  });
  expect(
    rows.filter(({ losses }) => losses > 0).map(({ what }) => what),
    told.join('\n'),
  ).toEqual([]);
  expect(rows.filter(({ count }) => count === 0)).toEqual([]);
});
