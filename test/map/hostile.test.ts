import { describe, expect, it } from 'vitest';
import { checksum } from '../../src/format/checksum.ts';
import { ByteWriter } from '../../src/format/cursor.ts';
import { blockKeys, EXTENT_KIND, type Extent, makeExtents, writeExtents } from '../../src/format/extent-page.ts';
import { PAGE_KIND, type PageRef, type TreeRoot, writeInner, writePageHead } from '../../src/format/page.ts';
import { compareMaps } from '../../src/map/compare.ts';
import { ExtentMap } from '../../src/map/extent-map.ts';
import { extentLayout, recordLayout } from '../../src/map/layouts.ts';
import { PersistentTree } from '../../src/map/tree.ts';
import { walkTree } from '../../src/map/walk.ts';
import { fixpointChecksum } from '../support/crc-fixpoint.ts';
import { decodeHostile } from '../support/hostile.ts';
import { PageFile } from '../support/page-file.ts';

interface PageOptions {
  readonly level?: number;
  readonly birth?: number;
  readonly kind?: number;
}

function store(file: PageFile, bytes: Uint8Array): PageRef {
  return { place: file.append(bytes), lengthBytes: bytes.length, checksum: checksum(bytes) };
}

function leafBytes(starts: readonly number[], options: PageOptions = {}): Uint8Array {
  return extentBytes(
    starts.map((start) => ({ start, length: 1, log: start, kind: EXTENT_KIND.data })),
    options,
  );
}

function extentBytes(extents: readonly Extent[], options: PageOptions = {}): Uint8Array {
  const writer = new ByteWriter();
  writePageHead(writer, {
    kind: options.kind ?? PAGE_KIND.extents,
    level: options.level ?? 0,
    birth: options.birth ?? 1,
    count: extents.length,
  });
  writeExtents(writer, makeExtents(extents));
  return writer.finish();
}

function innerBytes(keys: readonly number[], refs: PageRef[], options: PageOptions = {}): Uint8Array {
  const writer = new ByteWriter();
  writePageHead(writer, {
    kind: options.kind ?? PAGE_KIND.extents,
    level: options.level ?? 1,
    birth: options.birth ?? 1,
    count: keys.length,
  });
  writeInner(writer, blockKeys, { keys, refs, sums: [] });
  return writer.finish();
}

const ALL = Number.MAX_SAFE_INTEGER;

/** Every way through a map that meets all of its pages. */
const WALKS: Readonly<Record<string, (map: ExtentMap, file: PageFile, root: TreeRoot) => void>> = {
  extents: (map) => {
    for (const _ of map.extents(0, ALL));
  },
  backward: (map) => {
    for (const _ of map.tree.leavesBackward());
  },
  floor: (map) => {
    for (let block = 0; block < 100; block++) map.tree.floor(block);
  },
  compare: (map, file) => {
    for (const _ of compareMaps(map, new ExtentMap(file.store(), null)));
  },
  walk: (_map, file, root) => walkTree(extentLayout, file.store(), root, { page: () => true, leaf: () => {} }),
  clear: (map) => map.tree.clear({ olderThan: 0 }),
  change: (map) => {
    for (let block = 0; block < 100; block += 3) map.set(block, 1, 5000 + 2 * block);
  },
  'clear ranges': (map) => map.clear(0, 1000),
};

function expectCorrupt(file: PageFile, root: TreeRoot): void {
  for (const [name, walk] of Object.entries(WALKS)) {
    const counts = file.storage.during(() => {
      expect([name, decodeHostile(() => walk(new ExtentMap(file.store(), root), file, root))]).toEqual([
        name,
        { code: 'corrupt' },
      ]);
    });
    expect(counts.reads).toBeLessThan(300);
  }
}

/** A tree of two good leaves of ten blocks each, with the second one, or the pointer to it, replaced. */
function withSecond(bytes: Uint8Array, key = 50): { file: PageFile; root: TreeRoot } {
  const file = new PageFile();
  const first = store(file, leafBytes([0, 2, 4, 6, 8, 10, 12, 14, 16, 18]));
  const second = store(file, bytes);
  return { file, root: store(file, innerBytes([0, key], [first, second])) };
}

const GOOD = [50, 52, 54, 56, 58, 60];

describe('hostile pages', () => {
  it('are told from good ones: the same tree undamaged is walked', () => {
    const { file, root } = withSecond(leafBytes(GOOD));
    for (const walk of Object.values(WALKS)) walk(new ExtentMap(file.store(), root), file, root);
  });

  it.each([
    ['whose first key is not what its parent says', leafBytes([51, 52])],
    ['whose first key lies below what its parent says', leafBytes([3, 52])],
    ['of another kind', leafBytes(GOOD, { kind: PAGE_KIND.records })],
    ['of no known kind', leafBytes(GOOD, { kind: 0 })],
    ['with garbage', Uint8Array.of(PAGE_KIND.extents, 0, 1, 9, 1, 2, 3)],
    ['that is empty inside', Uint8Array.of(PAGE_KIND.extents, 0, 1, 0)],
    ['with bytes behind its end', Uint8Array.from([...leafBytes(GOOD), 0])],
  ])('%s', (_name, bytes) => {
    const { file, root } = withSecond(bytes);
    expectCorrupt(file, root);
  });

  it('whose level is not one below its parent', () => {
    const inner = new PageFile();
    const leaf = store(inner, leafBytes(GOOD));
    expectCorrupt(inner, store(inner, innerBytes([50], [leaf], { level: 2 })));
    expectCorrupt(inner, store(inner, innerBytes([50], [store(inner, innerBytes([50], [leaf]))], { level: 1 })));
    expectCorrupt(
      inner,
      store(inner, innerBytes([50], [store(inner, innerBytes([50], [leaf], { level: 1 }))], { level: 53 })),
    );
  });

  it('that reach beyond the first key of the next page', () => {
    const file = new PageFile();
    const first = store(file, leafBytes([0, 2, 70]));
    const second = store(file, leafBytes(GOOD));
    expectCorrupt(file, store(file, innerBytes([0, 50], [first, second])));
  });

  it('that reach beyond the first key behind their parent', () => {
    const file = new PageFile();
    const low = store(file, innerBytes([0], [store(file, leafBytes([0, 70]))]));
    const high = store(file, innerBytes([50], [store(file, leafBytes(GOOD))]));
    expectCorrupt(file, store(file, innerBytes([0, 50], [low, high], { level: 2 })));
  });

  it('whose last extent reaches into the next page, or behind all that their parent covers', () => {
    const long = (length: number): Uint8Array => extentBytes([{ start: 20, length, log: 7, kind: EXTENT_KIND.data }]);
    const file = new PageFile();
    const second = store(file, leafBytes(GOOD));
    const fits = store(file, innerBytes([20, 50], [store(file, long(30)), second]));
    for (const walk of Object.values(WALKS)) walk(new ExtentMap(file.store(), fits), file, fits);
    expectCorrupt(file, store(file, innerBytes([20, 50], [store(file, long(31)), second])));
    const low = store(file, innerBytes([20], [store(file, long(1000))]));
    const high = store(file, innerBytes([50], [second]));
    expectCorrupt(file, store(file, innerBytes([20, 50], [low, high], { level: 2 })));
  });

  it('that claim to be younger than their parent', () => {
    const { file } = withSecond(leafBytes(GOOD));
    const leaf = store(file, leafBytes(GOOD, { birth: 8 }));
    const root = (birth: number): PageRef => store(file, innerBytes([50], [leaf], { birth }));
    for (const walk of Object.values(WALKS)) walk(new ExtentMap(file.store(), root(8)), file, root(8));
    expectCorrupt(file, root(7));
  });

  it('that lie outside the file', () => {
    const { file } = withSecond(leafBytes(GOOD));
    const far = { place: 2 ** 50, lengthBytes: 500, checksum: 0 };
    const first = store(file, leafBytes([0]));
    expectCorrupt(file, store(file, innerBytes([0, 50], [first, far])));
    expectCorrupt(file, far);
  });

  it('that were changed since the pointer was written', () => {
    const { file, root } = withSecond(leafBytes(GOOD));
    const { place } = root as PageRef;
    file.storage.write(Uint8Array.of(PAGE_KIND.records), place);
    expectCorrupt(file, root);
  });

  it('inline that are no leaf are refused when the tree is opened and when it is adopted', () => {
    const file = new PageFile();
    const inline = innerBytes([50], [store(file, leafBytes(GOOD))]);
    expect(decodeHostile(() => new ExtentMap(file.store(), inline))).toEqual({ code: 'corrupt' });
    const map = new ExtentMap(file.store(), null);
    expect(decodeHostile(() => map.tree.adopt(inline))).toEqual({ code: 'corrupt' });
    expect(decodeHostile(() => new PersistentTree(recordLayout('x'), file.store(), Uint8Array.of(9, 9, 9)))).toEqual({
      code: 'corrupt',
    });
  });
});

describe('a page used again and again', () => {
  it('200 times a level, over 20 levels, is refused after a few visits', () => {
    const file = new PageFile();
    let ref = store(file, leafBytes([0]));
    const keys = Array.from({ length: 200 }, (_, index) => index);
    for (let level = 1; level <= 20; level++)
      ref = store(file, innerBytes(keys, new Array<PageRef>(200).fill(ref), { level }));
    expectCorrupt(file, ref);
  });

  it('below itself is refused after a few visits', () => {
    const file = new PageFile();
    // The page points to itself with its own checksum, which can be had for any content.
    const place = 8192;
    const draft = (sum: number): Uint8Array => {
      const lengthBytes = innerBytes([0], [{ place, lengthBytes: 15, checksum: 0 }], { level: 3 }).length;
      return innerBytes([0], [{ place, lengthBytes, checksum: sum }], { level: 3 });
    };
    const sum = fixpointChecksum(draft);
    const root = store(file, draft(sum));
    expect(root).toEqual({ place, lengthBytes: draft(0).length, checksum: sum });
    expectCorrupt(file, root);
  });
});
