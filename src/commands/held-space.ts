import type { JsonObject } from '../cli/json.ts';
import { formatSize } from '../cli/size.ts';
import type { HeldSpace } from '../image/api.ts';

export function totalBytes({ dataBytes, metadataBytes }: HeldSpace): number {
  return dataBytes + metadataBytes;
}

export function describeHeld(held: HeldSpace): JsonObject {
  return {
    'data-bytes': held.dataBytes,
    'metadata-bytes': held.metadataBytes,
    'total-bytes': totalBytes(held),
  };
}

export function heldText(held: HeldSpace): string {
  return `${formatSize(totalBytes(held))} (data ${formatSize(held.dataBytes)}, metadata ${formatSize(held.metadataBytes)})`;
}
