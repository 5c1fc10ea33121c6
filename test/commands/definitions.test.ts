import { describe, expect, it } from 'vitest';
import { allOptions } from '../../src/cli/definition.ts';
import { COMMAND_HINTS } from '../../src/cli/hints.ts';
import { OPTION_HINTS } from '../../src/cli/option-hints.ts';
import { buildCommand, parseCommand } from '../../src/cli/program.ts';
import { COMMANDS } from '../../src/cli/registry.ts';
import { STATUS_MEANINGS } from '../../src/commands/exit-statuses.ts';
import { TOPICS } from '../../src/commands/topics.ts';
import { EXIT_STATUS } from '../../src/errors.ts';
import { runInProcess } from '../support/cli.ts';

/** The words of the vsimg command in a line of shell. */
function wordsOf(line: string): string[] {
  const [, command = ''] = /(?:^|\| |&& )(vsimg .*?)(?= \|| >| && |$)/.exec(line) ?? [];
  return [...command.matchAll(/'([^']*)'|([^ ]+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

describe.each(COMMANDS)('vsimg $name', (entry) => {
  it('has a definition from which commander makes a command', async () => {
    const { definition } = await entry.load();
    const command = buildCommand(entry, definition, () => 80);
    expect(command.options.filter(({ hidden }) => !hidden).length).toBe(allOptions(definition).length);
    expect(definition.description).toMatch(/^[A-Z].*\.$/);
    expect(definition.examples.length).toBeGreaterThan(0);
    const known = new Set<number>([0, ...Object.values(EXIT_STATUS)]);
    for (const { status } of definition.statuses) expect(known).toContain(status);
  });

  it('has no option twice', async () => {
    const options = allOptions((await entry.load()).definition);
    const names = options.flatMap(({ short, name }) => (short === undefined ? [name] : [name, short]));
    expect(new Set(names).size).toBe(names.length);
  });

  it('shows help with its examples in 80 columns', async () => {
    const { definition } = await entry.load();
    const { status, stdout, stderr } = await runInProcess([entry.name, '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^Usage: vsimg ${entry.name} `));
    for (const { command } of definition.examples) expect(stdout).toContain(`  ${command}\n`);
    const tooWide = stdout
      .split('\n')
      .filter((line) => line.length > 80 && !line.startsWith('  vsimg') && !line.startsWith('  qemu-img'));
    expect(tooWide).toEqual([]);
    expect((await runInProcess(['help', entry.name])).stdout.trimEnd()).toBe(stdout.trimEnd());
  });

  it('has examples that it can parse', async () => {
    const { definition } = await entry.load();
    for (const { command } of definition.examples) {
      const [first, second, ...words] = wordsOf(command);
      expect([first, second]).toEqual(['vsimg', entry.name]);
      expect(
        parseCommand(
          buildCommand(entry, definition, () => 80),
          definition,
          words,
        ).kind,
      ).toBe('run');
    }
  });
});

describe('topics', () => {
  it.each(TOPICS)('vsimg help $name', async ({ name }) => {
    const { status, stdout, stderr } = await runInProcess(['help', name]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(JSON.parse((await runInProcess(['help', name, '--json'])).stdout)).toEqual({ topic: name, text: stdout });
  });

  it.each(TOPICS)('vsimg help $name fits a narrow terminal', async ({ name }) => {
    const { stdout } = await runInProcess(['help', name], { columns: 44 });
    expect(stdout.split('\n').filter((line) => line.length > 44)).toEqual([]);
    const words = (text: string): string[] => text.split(/\s+/);
    expect(words(stdout)).toEqual(words((await runInProcess(['help', name])).stdout));
  });

  it('lists every exit status', async () => {
    const { stdout } = await runInProcess(['help', 'exit-statuses']);
    for (const [code, status] of Object.entries(EXIT_STATUS))
      expect(stdout).toMatch(new RegExp(`^ *${status}  ${code} `, 'm'));
    expect(Object.keys(STATUS_MEANINGS).sort()).toEqual(Object.keys(EXIT_STATUS).sort());
  });
});

describe('hints for those who know other programs', () => {
  const quoted = [...COMMAND_HINTS, ...OPTION_HINTS].flatMap((hint) =>
    [...hint.matchAll(/'vsimg ([a-z-]+)((?: [^' ]+)*)/g)].map(([, name = '', rest = '']) => ({ hint, name, rest })),
  );

  it.each(quoted.filter(({ name }) => !name.startsWith('-')))(
    'name commands and options that there are: $hint',
    async ({ name, rest }) => {
      const entry = COMMANDS.find((command) => command.name === name);
      expect(name).toBe(entry?.name);
      const definition = (await entry?.load())?.definition;
      const options = definition === undefined ? [] : allOptions(definition);
      const [own = ''] = rest.split('|');
      for (const word of own.split(' ').filter((part) => part.startsWith('-'))) {
        if (word === '--help') continue;
        expect(options.map((option) => (word.startsWith('--') ? `--${option.name}` : `-${option.short}`))).toContain(
          word,
        );
      }
    },
  );
});
