import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { pad } from '../cli/table.ts';
import { isSameFile } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import { type CompareOptions, compareDisks, compareStates, type Difference } from '../image/compare.ts';
import { type Disk, FORMATS, findDisk, stateFacts, withDisk } from './disk.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Compares the bytes of two disks: images, versions of one image or of two, raw files, devices.',
  arguments: [
    {
      name: 'A',
      presence: 'required',
      description: "IMAGE (its working state), IMAGE@REV, a raw file or device, or '-' for stdin",
    },
    { name: 'B', presence: 'required', description: 'the same' },
  ],
  options: [
    { name: 'all', description: 'every range that differs, not only where the first one begins' },
    { name: 'ignore-tail', description: 'disks of different sizes are the same if what one has more is zeros' },
    { short: 'f', name: 'format-a', value: 'FORMAT', description: `what A is: ${FORMATS}` },
    { short: 'F', name: 'format-b', value: 'FORMAT', description: `what B is: ${FORMATS}` },
  ],
  access: 'reads',
  examples: [
    { command: 'vsimg compare disk.raw disk.vsi@v1', explanation: 'whether a version is what was imported' },
    { command: 'vsimg compare disk.vsi@1 disk.vsi@2 --all', explanation: 'every byte range that differs' },
    { command: 'vsimg compare -q a.raw b.raw --ignore-tail && echo same', explanation: 'in a script' },
    { command: 'xzcat disk.raw.xz | vsimg compare - disk.vsi', explanation: 'without unpacking it first' },
  ],
  details: [
    "Each line of --all is the offset and length of a range in bytes and its kind: 'data' for different bytes, 'tail' for what " +
      "only the longer disk has, 'zero-tail' if that is all zeros. A range begins and ends with a byte that differs; what " +
      'lies in neighbouring sectors of 512 bytes is one range.',
    'Of two versions of one image only those ranges are read that their maps tell apart; otherwise both disks are read in order, ' +
      "but for what is a hole in both. 'vsimg diff' compares the maps alone, without reading data.",
    'A file is an image if it begins like one, also if its first header is damaged; else it is a raw disk. A raw disk that ' +
      "begins so is read with '-f raw' (A) or '-F raw' (B), as is a file of another format that is to be compared as it is.",
    'With -q nothing is printed in text format.',
  ],
  statuses: [
    { status: EXIT_STATUS.differs, meaning: 'they differ' },
    { status: EXIT_STATUS.corrupt, meaning: 'an image is damaged where it had to be read' },
    { status: EXIT_STATUS['not-found'], meaning: 'there is no such file or version' },
  ],
};

/** Where the differences of two disks come from, and what is said of each disk. */
interface Comparison {
  readonly a: JsonObject;
  readonly b: JsonObject;
  readonly differences: AsyncIterable<Difference>;
}

export async function run(context: CommandContext): Promise<number> {
  const { args, progress } = context;
  const [nameA, nameB] = [args.operand(0), args.operand(1)];
  if (nameA === '-' && nameB === '-')
    throw new VsimgError('usage', 'A and B are both stdin', { hint: 'name a file or an image for one of them' });
  const options: CompareOptions = {
    find: args.has('all') ? 'all' : 'first',
    tail: args.has('ignore-tail') ? 'zeros' : 'differs',
    onProgress: progress.start('compare'),
  };
  const a = findDisk(context, nameA, { format: args.value('format-a') });
  const b = findOther(context, a, nameB);
  if (a.kind === 'state' && b.kind === 'state' && isSameFile(a.path, b.path)) {
    return withImage(context, { path: a.path, mode: 'read-long' }, (image) =>
      report(context, {
        a: stateFacts(image, a.rev),
        b: stateFacts(image, b.rev),
        differences: compareStates(image, { a: a.rev, b: b.rev }, options),
      }),
    );
  }
  return withDisk(context, a, (openA) =>
    withDisk(context, b, (openB) =>
      report(context, {
        a: openA.facts,
        b: openB.facts,
        differences: compareDisks(openA.source, openB.source, options),
      }),
    ),
  );
}

/** A pipe that was opened for A must not keep the process when B is not there. */
function findOther(context: CommandContext, a: Disk, name: string): Disk {
  try {
    return findDisk(context, name, { format: context.args.value('format-b') });
  } catch (error) {
    if (a.kind === 'raw') a.source.close();
    throw error;
  }
}

interface Findings {
  readonly first: Difference | undefined;
  readonly rangeCount: number;
  readonly differingBytes: number;
}

async function report(context: CommandContext, comparison: Comparison): Promise<number> {
  const { output, args } = context;
  const isJson = output.format === 'json';
  const findings = args.has('all')
    ? await (isJson ? listJson(context, comparison) : listText(context, comparison))
    : await (isJson ? printJson(context, comparison) : printText(context, comparison));
  return findings.first === undefined ? 0 : EXIT_STATUS.differs;
}

async function printText({ args, output }: CommandContext, comparison: Comparison): Promise<Findings> {
  const findings = await collect(comparison, async () => true);
  const { a, b } = comparison;
  const [sizeA, sizeB] = [a['virtual-size'], b['virtual-size']];
  const { first } = findings;
  if (first === undefined) {
    await output.finding('the disks are the same');
    return findings;
  }
  if (first.kind === 'data') await output.finding(`the disks differ at byte ${first.start}`);
  if (args.has('ignore-tail') || sizeA === sizeB) return findings;
  if (typeof sizeA === 'number' && typeof sizeB === 'number')
    await output.finding(`the sizes differ: ${sizeA} and ${sizeB} bytes`);
  else if (first.kind !== 'data')
    await output.finding(`the sizes differ: one disk ends at byte ${first.start}, the other at ${first.end}`);
  if (first.kind === 'zero-tail')
    await output.finding('what one has more is zeros: with --ignore-tail the disks are the same');
  if (first.kind === 'tail') await output.finding('up to the end of the shorter one they are the same');
  return findings;
}

async function listText({ output }: CommandContext, comparison: Comparison): Promise<Findings> {
  const { a, b } = comparison;
  const sizes = [a, b].map((side) => String(side['virtual-size'] ?? '').length);
  const width = Math.max(6, ...sizes);
  const row = (cells: readonly string[], kind: string): string =>
    [...cells.map((cell) => pad(cell, width, 'right')), kind].join('  ');
  let titled = false;
  const findings = await collect(comparison, async ({ start, end, kind }) => {
    if (output.quiet) return false;
    if (!titled) await output.line(row(['Offset', 'Length'], 'Kind'));
    titled = true;
    await output.line(row([String(start), String(end - start)], kind));
    return !output.closed;
  });
  if (findings.first === undefined) await output.finding('the disks are the same');
  return findings;
}

async function printJson({ output }: CommandContext, comparison: Comparison): Promise<Findings> {
  const findings = await collect(comparison, async () => true);
  await output.document({ a: comparison.a, b: comparison.b, ...describe(findings) });
  return findings;
}

async function listJson({ output }: CommandContext, comparison: Comparison): Promise<Findings> {
  const list = output.list();
  await list.open({ a: comparison.a, b: comparison.b }, 'ranges');
  const findings = await collect(comparison, async ({ start, end, kind }) => {
    await list.item({ start, length: end - start, kind });
    return !output.closed;
  });
  const { rangeCount, differingBytes } = findings;
  await list.close({ ...describe(findings), 'range-count': rangeCount, 'differing-bytes': differingBytes });
  return findings;
}

function describe({ first }: Findings): JsonObject {
  return {
    same: first === undefined,
    'first-difference': first === undefined ? null : { offset: first.start, kind: first.kind },
  };
}

/** Shows each difference to `visit`, until that returns false. */
async function collect(
  { differences }: Comparison,
  visit: (difference: Difference) => Promise<boolean>,
): Promise<Findings> {
  let first: Difference | undefined;
  let [rangeCount, differingBytes] = [0, 0];
  for await (const difference of differences) {
    first ??= difference;
    rangeCount += 1;
    differingBytes += difference.end - difference.start;
    if (!(await visit(difference))) break;
  }
  return { first, rangeCount, differingBytes };
}
