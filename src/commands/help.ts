import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition, CommandEntry } from '../cli/definition.ts';
import { hintFor } from '../cli/hints.ts';
import { buildCommand, buildProgram, parseCommand, parseProgram } from '../cli/program.ts';
import { formatRows } from '../cli/table.ts';
import { VsimgError } from '../errors.ts';
import { TOPICS } from './topics.ts';

export const definition: CommandDefinition = {
  description: 'Explains a command or a topic.',
  arguments: [
    {
      name: 'TOPIC',
      presence: 'optional',
      completes: 'topic',
      description: `a command, or one of: ${TOPICS.map((topic) => topic.name).join(', ')}`,
    },
  ],
  options: [{ short: 'a', name: 'all', description: 'list all commands and topics' }],
  access: 'neither',
  examples: [
    { command: 'vsimg help import', explanation: "the same as 'vsimg import --help'" },
    { command: 'vsimg help revisions', explanation: 'how versions are named' },
  ],
  details: [],
  statuses: [],
};

/** Where else one looks for a topic. */
const OTHER_NAMES = new Map(
  Object.entries({
    all: "it is 'vsimg help -a'",
    commands: "it is 'vsimg help -a'",
    errors: "it is 'vsimg help scripting'",
    'exit-codes': "it is 'vsimg help exit-statuses'",
    json: "it is 'vsimg help scripting'",
    options: "'vsimg COMMAND --help' lists those of a command",
    range: "it is 'vsimg help sizes' or, of versions, 'vsimg help revisions'",
    ranges: "it is 'vsimg help sizes' or, of versions, 'vsimg help revisions'",
    topics: "it is 'vsimg help -a'",
    variables: "it is 'vsimg help environment'",
  }),
);

export async function run({ args, io, output, commands }: CommandContext): Promise<number> {
  const name = args.operands[0];
  if (args.has('all') && name !== undefined) {
    throw new VsimgError('usage', '--all lists everything, and a topic is named', { hint: 'give one of them' });
  }
  const text = args.has('all') ? overview(commands) : await helpText(commands, name, () => io.columns);
  await output.line(text.trimEnd());
  await output.document({ topic: name ?? null, text });
  return 0;
}

function overview(commands: readonly CommandEntry[]): string {
  const rows = (items: readonly { readonly name: string; readonly summary: string }[]): string =>
    formatRows(
      [
        { title: '', align: 'left' },
        { title: '', align: 'left' },
      ],
      items.map(({ name, summary }) => [`  ${name}`, summary]),
    ).join('\n');
  return `Commands:\n${rows(commands)}\n\nTopics:\n${rows(TOPICS)}\n`;
}

async function helpText(
  commands: readonly CommandEntry[],
  name: string | undefined,
  columns: () => number,
): Promise<string> {
  if (name === undefined) return parseProgram(buildProgram(commands, columns), ['--help']) ?? '';
  const topic = TOPICS.find((candidate) => candidate.name === name);
  if (topic !== undefined) return `${topic.lines(Math.min(80, columns())).join('\n')}\n`;
  const entry = commands.find((command) => command.name === name);
  if (entry === undefined) {
    const elsewhere = hintFor(name) ?? OTHER_NAMES.get(name);
    const isTopic = TOPICS.some((topic) => topic.name.startsWith(name));
    if (!isTopic && elsewhere !== undefined)
      throw new VsimgError('usage', `there is no command or topic '${name}'`, { hint: elsewhere });
    const known = [...commands, ...TOPICS].map((item) => item.name);
    const nearest = known.find((word) => word.startsWith(name) || name.startsWith(word));
    throw new VsimgError('usage', `there is no command or topic '${name}'`, {
      hint:
        nearest !== undefined
          ? `did you mean ${nearest}?`
          : `'vsimg --help' lists the commands; topics are ${TOPICS.map(({ name: known }) => known).join(', ')}`,
    });
  }
  const module = await entry.load();
  const parsed = parseCommand(buildCommand(entry, module.definition, columns), module.definition, ['--help']);
  return parsed.kind === 'help' ? parsed.text : '';
}
