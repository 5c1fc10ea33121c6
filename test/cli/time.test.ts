import { describe, expect, it } from 'vitest';
import { formatDuration, formatTime, stampSeconds } from '../../src/cli/time.ts';

describe('time', () => {
  it('is that of SOURCE_DATE_EPOCH where it is set', () => {
    expect(stampSeconds({}, 1999)).toBe(1);
    expect(stampSeconds({ SOURCE_DATE_EPOCH: '' }, 1999)).toBe(1);
    expect(stampSeconds({ SOURCE_DATE_EPOCH: '0' }, 1999)).toBe(0);
    expect(stampSeconds({ SOURCE_DATE_EPOCH: '1700000000' }, 1999)).toBe(1700000000);
  });

  it.each(['-1', '1.5', 'now', '1e9', '999999999999', ' 1'])('refuses a SOURCE_DATE_EPOCH of %j', (value) => {
    expect(() => stampSeconds({ SOURCE_DATE_EPOCH: value }, 0)).toThrow(expect.objectContaining({ code: 'usage' }));
  });

  it('is printed in UTC to the second', () => {
    expect(formatTime(0)).toBe('1970-01-01T00:00:00Z');
    expect(formatTime(1700000000.9)).toBe('2023-11-14T22:13:20Z');
    for (const seconds of [1, 951_782_400, 1_709_164_799, 1_735_689_599, 4_107_542_399, 253_402_300_799])
      expect(formatTime(seconds)).toBe(new Date(seconds * 1000).toISOString().replace('.000Z', 'Z'));
    expect(formatTime(Number.MAX_SAFE_INTEGER)).toBe('9999-12-31T23:59:59Z');
  });

  it.each([
    [0, '0s'],
    [6.2, '7s'],
    [60, '1m00s'],
    [185, '3m05s'],
    [7620, '2h07m'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});
