import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { plural } from '../cli/number.ts';
import { formatSize } from '../cli/size.ts';
import { oneLine } from '../cli/table.ts';
import { parseImage } from '../cli/target.ts';
import { EXIT_STATUS, type VsimgError } from '../errors.ts';
import type { CheckFinding, CheckReport, ImageInfo } from '../image/api.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description: 'Walks everything in an image, verifies it and looks for leaked space. Changes nothing.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [{ name: 'data', description: 'also read and verify all data' }],
  access: 'reads',
  examples: [
    { command: 'vsimg check disk.vsi', explanation: 'maps, tables and space' },
    { command: 'vsimg check disk.vsi --data -p', explanation: 'every byte, with progress' },
  ],
  details: [
    "The statuses are those of 'qemu-img check'. As there, an image that cannot be opened, for whatever reason, gives 1: the error " +
      'on stderr says why. With -q nothing is printed in text format.',
  ],
  statuses: [
    { status: 0, meaning: 'no errors and no leaks' },
    { status: EXIT_STATUS['check-incomplete'], meaning: 'the check could not be carried out' },
    { status: EXIT_STATUS['check-errors'], meaning: 'there are errors' },
    { status: EXIT_STATUS['check-leaks'], meaning: 'there is leaked space, but no error' },
    { status: EXIT_STATUS.usage, meaning: 'wrong command line' },
  ],
};

export async function run(context: CommandContext): Promise<number> {
  const { args, output, progress } = context;
  const path = parseImage(args.operand(0));
  const data = args.has('data');
  return withImage(context, { path, mode: 'read-long' }, async (image) => {
    const report = await image.check({ data, onProgress: progress.start('check') });
    progress.stop();
    if (output.format === 'json') await output.document(describe(path, image.info(), report));
    else await printText(context, report);
    if (report.errors.length > 0) return EXIT_STATUS['check-errors'];
    return report.leakedBytes > 0 ? EXIT_STATUS['check-leaks'] : 0;
  });
}

/** As with qemu-img, whatever keeps the check from being carried out has one status. */
export function statusFor(error: VsimgError): number {
  return error.code === 'usage' ? EXIT_STATUS.usage : EXIT_STATUS['check-incomplete'];
}

async function printText({ args, output }: CommandContext, report: CheckReport): Promise<void> {
  const paint = await output.paint();
  for (const finding of report.errors) await output.message(`${paint.bad('error:')} ${findingText(finding)}`);
  if (report.leakedBytes > 0)
    await output.message(`${formatSize(report.leakedBytes)} are leaked; 'vsimg gc' gives them back`);
  const clean = report.errors.length === 0 && report.leakedBytes === 0;
  if (clean) await output.message(paint.good('No errors were found on the image.'));
  else if (report.errors.length > 0)
    await output.message(paint.bad(`${plural(report.errors.length, 'error')} found on the image.`));
  const parts = [
    plural(report.versionsChecked, 'version'),
    plural(report.pagesChecked, 'page'),
    plural(report.segmentsChecked, 'segment'),
  ];
  const verified = args.has('data')
    ? `${formatSize(report.dataBytesChecked)} of stored data`
    : 'data not read (--data does)';
  await output.message(`checked: ${parts.join(', ')}, ${verified}`);
}

function findingText(finding: CheckFinding): string {
  const places: string[] = [];
  if (finding.version !== undefined) places.push(`version ${finding.version}`);
  if (finding.guestOffset !== undefined) {
    const length = finding.lengthBytes === undefined ? '' : `, ${finding.lengthBytes} bytes`;
    places.push(`at byte ${finding.guestOffset} of the disk${length}`);
  }
  if (finding.hostOffset !== undefined) places.push(`at byte ${finding.hostOffset} of the file`);
  return oneLine([finding.message, ...places].join(', '));
}

function describe(path: string, info: ImageInfo, report: CheckReport): JsonObject {
  return {
    filename: path,
    format: 'vsi',
    'check-errors': 0,
    corruptions: report.errors.length,
    leaks: Math.ceil(report.leakedBytes / info.blockSizeBytes),
    'image-end-offset': info.space.fileBytes,
    errors: report.errors.map(describeFinding),
    'leaked-bytes': report.leakedBytes,
    'pages-checked': report.pagesChecked,
    'segments-checked': report.segmentsChecked,
    'versions-checked': report.versionsChecked,
    'data-bytes-checked': report.dataBytesChecked,
  };
}

function describeFinding(finding: CheckFinding): JsonObject {
  return {
    message: finding.message,
    ...(finding.version === undefined ? {} : { version: finding.version }),
    ...(finding.guestOffset === undefined ? {} : { 'guest-offset': finding.guestOffset }),
    ...(finding.lengthBytes === undefined ? {} : { length: finding.lengthBytes }),
    ...(finding.hostOffset === undefined ? {} : { 'host-offset': finding.hostOffset }),
  };
}
