import { formatCompression } from '../cli/compression.ts';
import type { CommandContext } from '../cli/context.ts';
import type { CommandDefinition } from '../cli/definition.ts';
import type { JsonObject } from '../cli/json.ts';
import { plural } from '../cli/number.ts';
import { formatExactSize, formatSize } from '../cli/size.ts';
import { type Column, fitWidth, formatFields, formatTable, oneLine, subject } from '../cli/table.ts';
import { parseImage } from '../cli/target.ts';
import { formatTime } from '../cli/time.ts';
import { describeHead, describeVersion } from '../cli/version-view.ts';
import type { HeadInfo, ImageInfo, VersionInfo } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { SHORT_LISTING, withImage } from './opening.ts';

/** Listing all would make `info` slower with every version. */
const NEWEST = 10;

export const definition: CommandDefinition = {
  description: 'Describes an image: sizes, format, head, space and the newest versions.',
  arguments: [{ name: 'IMAGE', presence: 'required', description: 'the image' }],
  options: [{ name: 'all', description: `list all versions, not only the newest ${NEWEST}` }],
  access: 'reads',
  examples: [
    { command: 'vsimg info disk.vsi', explanation: 'what is this?' },
    { command: 'vsimg info disk.vsi --json | jq \'."virtual-size"\'', explanation: 'size of the disk in bytes' },
  ],
  details: [
    "The JSON document has qemu-img's names where it has one; 'dirty-flag' tells of uncommitted changes (null: damage hides them), 'cluster-size' is the block " +
      "size, and all else is under 'format-specific'. It works beside a writer.",
    "Of each entry in 'snapshots', 'id' and 'name' can be used as REV. 'corrupt' is true for a file that was cut short; all other " +
      "damage is for 'vsimg check' to find.",
  ],
  statuses: [],
};

const COLUMNS: readonly Column[] = [
  { title: 'ID', align: 'right' },
  { title: 'NAME', align: 'left' },
  { title: 'SIZE', align: 'right' },
  { title: 'DATE', align: 'left' },
  { title: 'MESSAGE', align: 'left' },
];

export async function run(context: CommandContext): Promise<number> {
  const { args, output, io } = context;
  const path = parseImage(args.operand(0));
  return withImage(context, { path, mode: 'read' }, async (image) => {
    const count = args.has('all') ? Number.POSITIVE_INFINITY : NEWEST;
    const look = (): View => ({ path, info: image.info(), versions: newest(image, count) });
    const isLong = Math.min(count, image.info().versionCount) > SHORT_LISTING;
    const view = isLong ? await image.whileHeld(async () => look()) : image.inOneState(look);
    if (output.format === 'json') await output.document(describe(view));
    else await output.lines(textLines(view, io.columns));
    return 0;
  });
}

interface View {
  readonly path: string;
  readonly info: ImageInfo;
  /** Oldest first, as qemu-img lists snapshots. */
  readonly versions: readonly VersionInfo[];
}

function newest(image: Image, count: number): VersionInfo[] {
  const found: VersionInfo[] = [];
  for (const version of image.versions()) {
    found.push(version);
    if (found.length >= count) break;
  }
  return found.reverse();
}

function describe({ path, info, versions }: View): JsonObject {
  return {
    filename: path,
    format: 'vsi',
    'virtual-size': info.sizeBytes,
    'actual-size': info.space.allocatedBytes,
    'cluster-size': info.blockSizeBytes,
    'dirty-flag': info.head.dirty,
    snapshots: versions.map(describeSnapshot),
    'format-specific': {
      type: 'vsi',
      data: {
        'image-id': info.imageId,
        'format-version': info.formatVersion,
        features: {
          compatible: info.features.compatible,
          'read-only-compatible': info.features.readOnlyCompatible,
          incompatible: info.features.incompatible,
        },
        'block-size': info.blockSizeBytes,
        'chunk-size': info.chunkSizeBytes,
        compression: formatCompression(info.compression),
        generation: info.generation,
        corrupt: info.space.missingBytes > 0 || info.head.dirty === null,
        'version-count': info.versionCount,
        head: describeHead(info.head),
        space: {
          'file-bytes': info.space.fileBytes,
          'data-bytes': info.space.dataBytes,
          'metadata-bytes': info.space.metadataBytes,
          'free-bytes': info.space.freeBytes,
          'missing-bytes': info.space.missingBytes,
        },
      },
    },
  };
}

/** qemu-img's snapshot with the version's own fields added. */
function describeSnapshot(version: VersionInfo): JsonObject {
  return {
    id: String(version.number),
    name: snapshotName(version),
    'vm-state-size': 0,
    'date-sec': Math.floor(version.timeSeconds),
    'date-nsec': 0,
    'vm-clock-sec': 0,
    'vm-clock-nsec': 0,
    ...describeVersion(version),
  };
}

/** A name that works as REV: the first tag, else the number. */
function snapshotName(version: VersionInfo): string {
  return version.tags[0] ?? String(version.number);
}

function textLines({ path, info, versions }: View, columns: number): string[] {
  const { space, features } = info;
  const incompatible = [...features.incompatible, ...features.readOnlyCompatible, ...features.compatible];
  const lines = formatFields([
    ['image', path],
    ['file format', `vsi, version ${info.formatVersion}`],
    ['virtual size', formatExactSize(info.sizeBytes)],
    ['disk size', formatSize(space.allocatedBytes)],
    ['block size', formatSize(info.blockSizeBytes)],
    [
      'compression',
      info.compression.codec === 'none'
        ? 'none'
        : `${formatCompression(info.compression)} in ${formatSize(info.chunkSizeBytes)} chunks`,
    ],
    ...(incompatible.length === 0 ? [] : [['features', incompatible.join(', ')] as const]),
    ['versions', String(info.versionCount)],
    ['head', headText(info.head)],
    [
      'space',
      `data ${formatSize(space.dataBytes)}, metadata ${formatSize(space.metadataBytes)}, free ${formatSize(space.freeBytes)}`,
    ],
    ...(space.missingBytes === 0
      ? []
      : [['damage', `the file was cut: ${formatExactSize(space.missingBytes)} are missing at its end`] as const]),
  ]);
  if (versions.length === 0) return lines;
  const older = info.versionCount - versions.length;
  const title =
    older > 0 ? `newest ${plural(versions.length, 'version')} (${older} older: --all shows them):` : 'versions:';
  const rows = versions.map((version) => [
    `${version.isHead ? '*' : ''}${version.number}`,
    oneLine([...version.tags, ...version.branches].join(', ')),
    formatSize(version.sizeBytes),
    formatTime(version.timeSeconds),
    subject(version.message),
  ]);
  return [...lines, title, ...formatTable(COLUMNS, rows).map((line) => fitWidth(`  ${line}`, columns))];
}

function headText(head: HeadInfo): string {
  const where = head.version === null ? 'no version yet' : `version ${head.version}`;
  const changes = head.dirty === null ? ', the working state is damaged' : head.dirty ? ', uncommitted changes' : '';
  return `${head.branch ?? 'detached'}, ${where}${changes}`;
}
