import type { CommandContext } from '../cli/context.ts';
import { barWidth, type HeatLabels, heatLines } from '../cli/heat-bars.ts';
import { heatSvg, SVG_COLUMNS } from '../cli/heat-svg.ts';
import { plural } from '../cli/number.ts';
import { oneLine, subject } from '../cli/table.ts';
import type { DiskPart } from '../image/api.ts';
import type { Image } from '../image/image.ts';
import { openFileTarget } from '../storage/target.ts';
import { writingOf } from './opening.ts';

interface Drawing {
  readonly part: DiskPart;
  readonly rowCount: number;
}

/** The picture of `map` for a terminal. */
export async function printHeat(context: CommandContext, image: Image, drawing: Drawing): Promise<void> {
  const { output, io } = context;
  const labels = labelsOf(image);
  const newest = image.info().versionCount === 0 ? null : (image.versions().next().value?.number ?? null);
  const columnCount = barWidth(io.columns, [labels.name(null), String(newest ?? '')]);
  const heat = await image.history.heatMap(drawing.part, { columnCount, rowCount: drawing.rowCount });
  if (heat.rows.length === 0) return;
  await output.lines(heatLines(heat, { paint: await output.paint(), columns: io.columns, labels }));
}

/** The same as a file, or on stdout. */
export async function writeSvg(
  context: CommandContext,
  image: Image,
  { part, rowCount, file }: Drawing & { readonly file: string },
): Promise<void> {
  const { output, cleanup } = context;
  const heat = await image.history.heatMap(part, { columnCount: SVG_COLUMNS, rowCount });
  const title = oneLine(`${image.path}${part.rev === null ? '' : `@${part.rev}`}`);
  const svg = heatSvg(heat, { title, labels: labelsOf(image) });
  if (file === '-') {
    await output.write(svg);
    return;
  }
  const bytes = Buffer.from(svg);
  const target = openFileTarget(file, { ...writingOf(context), force: true, sizeBytes: bytes.length });
  const forget = cleanup.add(() => target.abort());
  try {
    await target.data(0, bytes);
    await target.finish(bytes.length);
  } catch (error) {
    target.abort();
    throw error;
  } finally {
    forget();
  }
  await output.message(`drew ${plural(heat.rows.length, 'state')} to ${file}`);
}

function labelsOf(image: Image): HeatLabels {
  return {
    name: (version) => (version === null ? '*' : String(version)),
    note: (version) => {
      if (version === null) return 'not committed yet';
      const { tags, message } = image.version(version);
      return tags.length === 0 ? subject(message) : `(${tags.join(', ')}) ${subject(message)}`;
    },
  };
}
