import type { CommandContext } from '../cli/context.ts';
import { type OpenFileOptions, openImageFile } from '../image/file.ts';
import type { Image } from '../image/image.ts';

export interface Opening {
  readonly path: string;
  readonly mode: OpenFileOptions['mode'];
}

/** Opens the container for as long as `action` runs; whatever is not published then is as if it had not happened. */
export async function withImage<T>(
  context: CommandContext,
  opening: Opening,
  action: (image: Image) => Promise<T>,
): Promise<T> {
  const { path, mode } = opening;
  const image = await openImageFile(path, { mode, waitSeconds: context.waitSeconds });
  const forget = context.cleanup.add(() => image.close());
  try {
    return await action(image);
  } finally {
    forget();
    image.close();
  }
}
