import type { TreeLayout } from './node.ts';

function bisect(count: number, isBelow: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBelow(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the first key above `key`. */
export function upperBound<K>(keys: readonly K[], key: K): number {
  return bisect(keys.length, (index) => (keys[index] as K) <= key);
}

/** Index of the first key not below `key`. */
export function lowerBound<K>(keys: readonly K[], key: K): number {
  return bisect(keys.length, (index) => (keys[index] as K) < key);
}

export function leafUpperBound<K, L>(layout: TreeLayout<K, L>, leaf: L, key: K): number {
  return bisect(layout.count(leaf), (index) => layout.keyAt(leaf, index) <= key);
}

export function leafLowerBound<K, L>(layout: TreeLayout<K, L>, leaf: L, key: K): number {
  return bisect(layout.count(leaf), (index) => layout.keyAt(leaf, index) < key);
}
