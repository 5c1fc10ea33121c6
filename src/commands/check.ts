import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { plural } from '../cli/number.ts';
import { formatSize } from '../cli/size.ts';
import { oneLine } from '../cli/table.ts';
import { parseImage } from '../cli/target.ts';
import { EXIT_STATUS, VsimgError } from '../errors.ts';
import type { CheckFinding, CheckReport, ImageInfo, LostRange, RepairReport } from '../image/api.ts';
import { withImage } from './opening.ts';

export const definition: CommandDefinition = {
  description:
    'Walks everything in an image, verifies it, looks for leaked space, and says what is lost. Changes nothing without --repair.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [
    { name: 'data', description: 'also read and verify all data' },
    { name: 'repair', description: 'save what can be saved, then check again; implies --data' },
  ],
  access: 'writes',
  examples: [
    { command: 'vsimg check disk.vsi', explanation: 'maps, tables and space' },
    { command: 'vsimg check disk.vsi --data -p', explanation: 'every byte, with progress' },
    {
      command: 'cp disk.vsi copy.vsi && vsimg check copy.vsi --repair',
      explanation: 'mend a copy; the original stays as it is',
    },
  ],
  details: [
    "The statuses are those of 'qemu-img check'. As there, an image that cannot be opened, for whatever reason, gives 1: the error " +
      'on stderr says why. With -q nothing is printed in text format.',
    'Lines that begin with lost: say which ranges of the disk can not be read in which versions. They stay an error, also after ' +
      'a repair, until they are written again or their versions are deleted.',
    'A repair writes new records behind everything that is there and makes them true at once: a power cut leaves the image as it ' +
      'was. It leaves out what can not be read, marks what that held as lost, so that reading it is an error and never zeros, lists ' +
      'free space anew and mends a damaged header from the other one. The statuses are those of what remains.',
    'A damaged header alone is no error, because the other one says the same: it is told, and the next command that writes mends it.',
    '--wait and --no-sync have a meaning only with --repair.',
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
  const repair = args.has('repair');
  return withImage(context, { path, mode: repair ? 'repair' : 'read-long' }, async (image) => {
    const repaired = repair ? await image.repair({ onProgress: progress.start('repair') }) : undefined;
    const report = await image.check({ data: data || repair, onProgress: progress.start('check') });
    progress.stop();
    if (output.format === 'json') await output.document(describe(path, image.info(), { report, repaired }));
    else {
      for (const action of repaired?.actions ?? []) await output.message(`repaired: ${oneLine(action)}`);
      await printText(context, report);
    }
    if (report.diskError !== null) {
      throw new VsimgError('io', `the check is not complete: ${report.diskError}`, {
        path,
        hint: 'copy the file to a good disk first, with ddrescue for instance, and check the copy',
      });
    }
    if (report.errorCount > 0 || report.lost.length > 0) return EXIT_STATUS['check-errors'];
    return report.leakedBytes > 0 ? EXIT_STATUS['check-leaks'] : 0;
  });
}

/** As with qemu-img, whatever keeps the check from being carried out has one status. */
export function statusFor(error: VsimgError): number {
  return error.code === 'usage' ? EXIT_STATUS.usage : EXIT_STATUS['check-incomplete'];
}

async function printText({ args, output }: CommandContext, report: CheckReport): Promise<void> {
  const paint = await output.paint();
  for (const finding of report.errors) await output.finding(`${paint.bad('error:')} ${findingText(finding)}`);
  const unlisted = report.errorCount - report.errors.length;
  if (unlisted > 0) await output.finding(`${paint.bad('error:')} and ${plural(unlisted, 'error')} more`);
  for (const range of report.lost) await output.finding(`${paint.bad('lost:')} ${lostText(range)}`);
  if (!report.isLostComplete) await output.finding(`${paint.bad('lost:')} and more`);
  if (report.damagedSlot !== null)
    await output.finding(`the ${report.damagedSlot} header is damaged or out of date: the next write mends it`);
  if (report.leakedBytes > 0)
    await output.finding(`${formatSize(report.leakedBytes)} are leaked; 'vsimg gc' gives them back`);
  if (report.errorCount > 0)
    await output.finding(paint.bad(`${plural(report.errorCount, 'error')} found on the image.`));
  if (report.lost.length > 0)
    await output.finding(paint.bad(`${plural(report.lost.length, 'range')} of the disk can not be read.`));
  else if (report.errorCount === 0 && report.leakedBytes === 0)
    await output.finding(paint.good('No errors were found on the image.'));
  const parts = [
    plural(report.versionsChecked, 'version'),
    plural(report.pagesChecked, 'page'),
    plural(report.segmentsChecked, 'segment'),
  ];
  const verified =
    args.has('data') || args.has('repair')
      ? `${formatSize(report.dataBytesChecked)} of stored data`
      : 'data not read (--data does)';
  await output.finding(`checked: ${parts.join(', ')}, ${verified}`);
}

/** The message, and those places that it does not name itself. */
function findingText(finding: CheckFinding): string {
  const { message } = finding;
  const places: string[] = [];
  if (finding.version !== undefined && !message.includes(`version ${finding.version}`))
    places.push(`version ${finding.version}`);
  if (finding.guestOffset !== undefined && !message.includes(String(finding.guestOffset))) {
    const length = finding.lengthBytes === undefined ? '' : `, ${finding.lengthBytes} bytes`;
    places.push(`at byte ${finding.guestOffset} of the disk${length}`);
  }
  if (finding.hostOffset !== undefined && !message.includes(String(finding.hostOffset)))
    places.push(`at byte ${finding.hostOffset} of the file`);
  return oneLine([message, ...places].join(', '));
}

function lostText({ guestOffset, lengthBytes, versions, working }: LostRange): string {
  const runs = versions.map(([first, last]) => (first === last ? String(first) : `${first} to ${last}`));
  const isOne = runs.length === 1 && versions[0]?.[0] === versions[0]?.[1];
  const inVersions = runs.length === 0 ? [] : [`version${isOne ? '' : 's'} ${runs.join(', ')}`];
  const where = [...inVersions, ...(working ? ['the working state'] : [])].join(' and ');
  return `bytes ${guestOffset} to ${guestOffset + lengthBytes} of the disk in ${where}`;
}

interface Result {
  readonly report: CheckReport;
  readonly repaired: RepairReport | undefined;
}

function describe(path: string, info: ImageInfo, { report, repaired }: Result): JsonObject {
  return {
    filename: path,
    format: 'vsi',
    'check-errors': report.diskError === null ? 0 : 1,
    corruptions: report.errorCount + report.lost.length,
    leaks: Math.ceil(report.leakedBytes / info.blockSizeBytes),
    'image-end-offset': info.space.fileBytes,
    ...(repaired === undefined ? {} : { repaired: [...repaired.actions] }),
    errors: report.errors.map(describeFinding),
    lost: report.lost.map(describeLost),
    'lost-complete': report.isLostComplete,
    'damaged-header': report.damagedSlot,
    'leaked-bytes': report.leakedBytes,
    'pages-checked': report.pagesChecked,
    'segments-checked': report.segmentsChecked,
    'versions-checked': report.versionsChecked,
    'data-bytes-checked': report.dataBytesChecked,
  };
}

function describeLost({ guestOffset, lengthBytes, versions, working }: LostRange): JsonObject {
  return {
    'guest-offset': guestOffset,
    length: lengthBytes,
    versions: versions.map(([first, last]) => ({ first, last })),
    working,
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
