import { ExtentMap } from '../map/extent-map.ts';
import { headView, workingView } from './commit.ts';
import type { Container } from './container.ts';
import type { View } from './view.ts';

/** A version, or for null the working state, and what it was made from: of a first one an empty disk of the same size. */
export function changeSides(container: Container, number: number | null): { readonly from: View; readonly to: View } {
  if (number === null) return { from: headView(container), to: workingView(container) };
  const { pages, versions } = container;
  const { map, sizeBytes, parent } = versions.need(number);
  const before = parent === null ? { map: null, sizeBytes } : versions.need(parent);
  return {
    from: { map: new ExtentMap(pages, before.map), sizeBytes: before.sizeBytes },
    to: { map: new ExtentMap(pages, map), sizeBytes },
  };
}
