import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { formatProgress, Progress } from '../../src/cli/progress.ts';
import { fakeIo } from '../support/cli.ts';

const MIB = 1024 * 1024;

describe('formatProgress', () => {
  it('shows share, rate and time left', () => {
    const line = formatProgress({ title: 'import', doneBytes: 512 * MIB, totalBytes: 1024 * MIB, seconds: 2 }, 100);
    expect(line).toBe('import  [===============---------------]   50%  512 MiB of 1 GiB  256 MiB/s  2s left');
  });

  it('does without the share where the end is unknown', () => {
    expect(formatProgress({ title: 'import', doneBytes: 512 * MIB, totalBytes: undefined, seconds: 2 }, 80)).toBe(
      'import  512 MiB  256 MiB/s  2s',
    );
  });

  it.each([20, 40, 60, 80, 200])('fits into %d columns or leaves out the bar', (columns) => {
    const line = formatProgress({ title: 'export', doneBytes: 1, totalBytes: 1024 * MIB, seconds: 1.5 }, columns);
    expect(line.includes('[') ? line.length : 0).toBeLessThanOrEqual(columns);
  });
});

describe('Progress', () => {
  async function stderrOf(
    show: 'automatic' | 'always' | 'never',
    terminals: 'none' | 'both',
    milliseconds: number,
  ): Promise<string> {
    const io = fakeIo({ terminals });
    const progress = new Progress(io, { show });
    const update = progress.start('work');
    const end = performance.now() + milliseconds;
    while (performance.now() < end) {
      update(1, 2);
      await setTimeout(20);
    }
    progress.stop();
    return io.written.stderr.toString();
  }

  it('is told to programs at once, not often, and to the end of each phase', () => {
    const io = fakeIo();
    const progress = new Progress(io, { show: 'always', form: 'json', descriptor: 3 });
    const first = progress.start('one');
    for (let done = 0; done <= 1000; done++) first(done, 1000);
    const second = progress.start('two');
    second(5, undefined);
    progress.stop();
    second(6, undefined);
    const lines = io.progress
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ phase, done, total }) => [phase, done, total])).toEqual([
      ['one', 0, 1000],
      ['one', 1000, 1000],
      ['two', 5, null],
    ]);
    expect(io.written.stderr.toString()).toBe('');
  });

  it('is told to whoever asks, if there is any', () => {
    const io = fakeIo();
    const progress = new Progress(io, { show: 'never' });
    progress.tell();
    expect(io.written.stderr.toString()).toBe('');
    progress.start('work')(MIB, 2 * MIB);
    progress.tell();
    expect(io.written.stderr.toString()).toMatch(/^work .* 50% {2}1 MiB of 2 MiB .*\n$/);
    progress.stop();
    progress.tell();
    expect(io.written.stderr.toString().split('\n')).toHaveLength(2);
  });

  it('goes on without a listener', () => {
    const progress = new Progress(fakeIo(), { show: 'always', form: 'json', descriptor: 9 });
    const update = progress.start('work');
    update(1, 2);
    update(2, 2);
    progress.stop();
  });

  it('says nothing of work that is over within a second', async () => {
    expect(await stderrOf('always', 'both', 100)).toBe('');
  });

  it('shows longer work on a terminal, with -p anywhere, with -q nowhere', async () => {
    const [terminal, pipe, asked, quiet] = await Promise.all([
      stderrOf('automatic', 'both', 1500),
      stderrOf('automatic', 'none', 1500),
      stderrOf('always', 'none', 1500),
      stderrOf('never', 'both', 1500),
    ]);
    expect(terminal).toContain('work');
    expect(pipe).toBe('');
    expect(asked).toMatch(/work .*50%/);
    expect(quiet).toBe('');
  });
});
