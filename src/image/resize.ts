import { VsimgError } from '../errors.ts';
import type { Container } from './container.ts';
import { checkSize } from './new-header.ts';
import { clearBlocks, writeBytes } from './write.ts';

/** Errors: 'usage' for an impossible size, 'refused' for one that is smaller without `shrink`. */
export function checkResize(
  { workingSizeBytes }: Container,
  sizeBytes: number,
  { shrink = false }: { readonly shrink?: boolean },
): void {
  checkSize(sizeBytes);
  if (sizeBytes >= workingSizeBytes || shrink) return;
  const message = `${sizeBytes} bytes are fewer than the ${workingSizeBytes} that the disk has: what lies beyond them would be lost`;
  throw new VsimgError('refused', message, { hint: 'give --shrink if that is wanted; versions keep what they have' });
}

/** Sets the size of the working state; what lies behind a smaller size is given up, what a larger one adds reads as zeros. */
export async function resizeWorking(container: Container, sizeBytes: number): Promise<void> {
  checkSize(sizeBytes);
  const { blockBytes } = container;
  container.begin();
  const endBlock = Math.ceil(sizeBytes / blockBytes);
  const lastBlock = container.map.endBlock();
  if (lastBlock > endBlock) clearBlocks(container, endBlock, lastBlock);
  const tail = sizeBytes % blockBytes;
  if (sizeBytes < container.workingSizeBytes && tail !== 0) {
    // Bytes behind the end stay zeros, so that growing again does not bring old ones back.
    container.workingSizeBytes = endBlock * blockBytes;
    await writeBytes(container, sizeBytes, new Uint8Array(blockBytes - tail));
  }
  container.workingSizeBytes = sizeBytes;
}
