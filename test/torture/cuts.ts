import { cutEverywhere } from '../support/cuts.ts';
import { checkRepair, DAMAGES, damageable } from '../support/repair.ts';
import type { RunPart } from './part.ts';

const CUTS = 60_000;
const REPAIRS = 600;

/** Power cuts in random histories, and repairs of damaged containers with power cuts in them. */
export const run: RunPart = async ({ scale, seed, log }) => {
  let cuts = 0;
  let slotsLost = 0;
  let losses = 0;
  for (let next = seed; cuts < CUTS * scale; next++) {
    const report = await cutEverywhere(next);
    cuts += report.cuts;
    slotsLost += report.slotsLost;
    losses += report.losses.length;
    for (const loss of report.losses) log(loss);
    if (next % 10 === 0) log(`${cuts} cuts`);
  }
  const repairs = { done: 0, cuts: 0, losses: 0 };
  for (let next = seed; repairs.done < REPAIRS * scale; next++) {
    const sample = await damageable(next);
    for (const [name, damage] of DAMAGES) {
      repairs.done++;
      try {
        repairs.cuts += await checkRepair(sample, damage, next);
      } catch (error) {
        repairs.losses++;
        log(`${name}, seed ${next}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (next % 10 === 0) log(`${repairs.done} repairs`);
  }
  return [
    { what: 'power cuts, every write lost, torn or reordered', count: cuts, losses },
    { what: 'of these, one header damaged besides', count: slotsLost, losses: 0 },
    { what: 'repairs of damaged containers', count: repairs.done, losses: repairs.losses },
    { what: 'power cuts during repairs', count: repairs.cuts, losses: 0 },
  ];
};
