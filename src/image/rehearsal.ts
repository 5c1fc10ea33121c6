import { SLOT_A_OFFSET, SLOT_B_OFFSET } from '../format/layout.ts';
import { encodeSlot } from '../format/slot.ts';
import { Overlay } from '../storage/overlay.ts';
import type { Container } from './container.ts';

/**
 * Does on a draft of the container's published state what `action` would do to the container itself. `open` opens the draft
 * as it is by then, as the next writer would; nothing is left of it in the end, and the container is only read.
 */
export async function rehearse<T>(container: Container, action: (open: () => Container) => Promise<T>): Promise<T> {
  const { storage, header, generation } = container;
  // What it needs would take every command longer to load.
  const { openScratchFile } = await import('../storage/scratch-file.ts');
  const draft = new Overlay(storage, () => openScratchFile(storage.name));
  // A newer state may be in the slots by now, and a collection may have cut off what this one had free at its end.
  if (container.missingBytes === 0 && draft.size() < header.space.end) draft.truncate(header.space.end);
  const slot = encodeSlot(generation, header);
  draft.write(slot, SLOT_A_OFFSET);
  draft.write(slot, SLOT_B_OFFSET);
  try {
    return await action(() => container.openCopy(draft));
  } finally {
    draft.close();
  }
}
