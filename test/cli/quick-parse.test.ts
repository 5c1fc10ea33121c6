import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allOptions, type CommandDefinition } from '../../src/cli/definition.ts';
import type { Invocation } from '../../src/cli/invocation.ts';
import { buildCommand, parseCommand } from '../../src/cli/program.ts';
import { quickParse } from '../../src/cli/quick-parse.ts';
import { COMMANDS } from '../../src/cli/registry.ts';
import { VsimgError } from '../../src/errors.ts';

const modules = await Promise.all(COMMANDS.map(async (entry) => ({ entry, ...(await entry.load()) })));

/** Words that mean something in a command line of this command, right and wrong ones. */
function words(definition: CommandDefinition): fc.Arbitrary<string> {
  const options = allOptions(definition);
  const names = options.flatMap(({ short, name }) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])]);
  const mixed = names.flatMap((name) => [`${name}=5`, `${name}5`, name.slice(0, -1), name.toUpperCase()]);
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...names) },
    { weight: 4, arbitrary: fc.constantFrom('disk.vsi', 'disk.vsi@1', '5', '1..2', 'a b') },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...mixed, '-', '--', '-5', '-h', '--help', '', '--no-', '-qp', '--sync', '=', 'help'),
    },
    { weight: 1, arbitrary: fc.string({ maxLength: 6 }) },
  );
}

/** All that a command can ask of its command line. */
function answers(definition: CommandDefinition, args: Invocation): unknown {
  const options = allOptions(definition).map(({ name, value, repeats }) => {
    if (repeats === true) return [name, args.values(name)];
    return [name, value === undefined ? args.has(name) : args.value(name)];
  });
  return { operands: args.operands, options };
}

function byCommander(index: number, argv: readonly string[]): unknown {
  const { entry, definition } = modules[index] as (typeof modules)[number];
  try {
    const parsed = parseCommand(
      buildCommand(entry, definition, () => 80),
      definition,
      argv,
    );
    return parsed.kind === 'help' ? 'help' : answers(definition, parsed.args);
  } catch (error) {
    if (error instanceof VsimgError) return error.message;
    throw error;
  }
}

describe('the quick parser', () => {
  it.each(modules.map(({ entry }, index) => [entry.name, index] as const))(
    'says of a command line of %s what commander says, or nothing',
    (_name, index) => {
      const { definition } = modules[index] as (typeof modules)[number];
      let parsed = 0;
      fc.assert(
        fc.property(fc.array(words(definition), { maxLength: 7 }), (argv) => {
          const quick = quickParse(definition, argv);
          if (quick === undefined) return;
          parsed += 1;
          expect(answers(definition, quick)).toEqual(byCommander(index, argv));
        }),
        { numRuns: 2000 },
      );
      expect(parsed).toBeGreaterThan(20);
    },
  );

  it.each([
    ['info', 'disk.vsi', '--json'],
    ['info', '--json=lines', 'disk.vsi', '--progress=json', '-p', '--progress-fd', '3'],
    ['log', 'disk.vsi@2', '-n', '10'],
    ['read', 'disk.vsi', '--offset', '4k', '--length', '512', '-o', 'out.raw'],
    ['write', 'disk.vsi', '-', '--offset', '0x200', '--no-sync', '-q'],
    ['commit', 'disk.vsi', '-m', 'two words', '--tag', 'v1', '--wait', '5'],
    ['diff', 'disk.vsi', '1', '2', '--stat', '--exit-code'],
  ])('parses what people write: %s', (name, ...argv) => {
    const { definition } = modules.find(({ entry }) => entry.name === name) as (typeof modules)[number];
    expect(quickParse(definition, argv)).toBeDefined();
  });

  it.each([
    ['--help'],
    ['disk.vsi', '-h'],
    ['disk.vsi', '--alll'],
    ['disk.vsi', 'other.vsi'],
    [],
    ['disk.vsi', '--output'],
    ['disk.vsi', '--', '--all'],
  ])('leaves help, mistakes and rarities to commander: %j %j %j', (...argv) => {
    const { definition } = modules.find(({ entry }) => entry.name === 'info') as (typeof modules)[number];
    expect(quickParse(definition, argv)).toBeUndefined();
  });
});
