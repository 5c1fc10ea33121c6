import { VsimgError } from '../errors.ts';

/** The last second of the year 9999, the end of what the four-digit form can say. */
const LATEST_SECONDS = 253_402_300_799;

/**
 * Seconds since 1970 to stamp on a new version: SOURCE_DATE_EPOCH where it is set, so that equal inputs
 * give equal containers, otherwise `nowMilliseconds`.
 * @throws VsimgError 'usage' for a SOURCE_DATE_EPOCH that is not a number of seconds.
 */
export function stampSeconds(env: Readonly<Record<string, string | undefined>>, nowMilliseconds: number): number {
  const epoch = env.SOURCE_DATE_EPOCH;
  if (epoch === undefined || epoch === '') return Math.floor(nowMilliseconds / 1000);
  const seconds = Number(epoch);
  if (!/^\d{1,12}$/.test(epoch) || seconds > LATEST_SECONDS) {
    throw new VsimgError('usage', `SOURCE_DATE_EPOCH '${epoch}' is not a number of seconds since 1970`, {
      hint: 'unset it, or set it to what date +%s prints',
    });
  }
  return seconds;
}

/**
 * `2026-11-22T19:09:20Z`; the same in every time zone, so that output can be compared. By hand, because the first
 * `toISOString` of a process takes 2 ms.
 */
export function formatTime(timeSeconds: number): string {
  const bounded = Math.min(Math.max(Math.floor(timeSeconds), 0), LATEST_SECONDS);
  const time = new Date(bounded * 1000);
  const digits = (value: number): string => String(value).padStart(2, '0');
  const day = [time.getUTCFullYear(), digits(time.getUTCMonth() + 1), digits(time.getUTCDate())].join('-');
  const clock = [time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds()].map(digits).join(':');
  return `${day}T${clock}Z`;
}

/** Time that work took or will take: `7s`, `3m05s`, `2h07m`. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${String(whole % 60).padStart(2, '0')}s`;
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`;
}
