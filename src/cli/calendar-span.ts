import { VsimgError } from '../errors.ts';
import type { CalendarSpan } from '../image/api.ts';

const UNITS = { y: 'years', m: 'months', d: 'days', h: 'hours' } as const;

/**
 * `1y5m7d2h`, any of them, as restic has it. `what` names the option in the error.
 * @throws VsimgError 'usage'
 */
export function parseCalendarSpan(text: string, what: string): CalendarSpan {
  const span = { years: 0, months: 0, days: 0, hours: 0 };
  const parts = [...text.matchAll(/(\d{1,9})([ymdh])/g)];
  const units = parts.map(([, , unit]) => unit as keyof typeof UNITS);
  const isWhole = parts.map(([part]) => part).join('') === text && new Set(units).size === units.length;
  for (const [, count, unit] of parts) span[UNITS[unit as keyof typeof UNITS]] = Number(count);
  if (!isWhole || Object.values(span).every((count) => count === 0)) {
    throw new VsimgError('usage', `${what} '${text}' is not a span of time`, {
      hint: 'give years, months, days and hours as in 1y5m7d2h, or some of them',
    });
  }
  return span;
}
