import { describe, expect, it } from 'vitest';
import { type Extents, extentCount } from '../../src/format/extent-page.ts';
import type { PageRef, TreeRoot } from '../../src/format/page.ts';
import { ExtentMap } from '../../src/map/extent-map.ts';
import { extentLayout } from '../../src/map/layouts.ts';
import { loosenTree, type Mover, moveTree, walkTree } from '../../src/map/walk.ts';
import { levelsOf, PageFile } from '../support/page-file.ts';

const EXTENTS = 5000;

/** Two versions of one map that differ in one block. */
function twoVersions(): { file: PageFile; first: TreeRoot; second: TreeRoot } {
  const file = new PageFile();
  const map = new ExtentMap(file.store(), null);
  for (let index = 0; index < EXTENTS; index++) map.set(2 * index, 1, (index * 7919) % 100_003);
  const first = map.tree.flush(file.sink());
  map.set(4000, 1, 2 ** 30);
  return { file, first, second: map.tree.flush(file.sink()) };
}

function contentOf(file: PageFile, root: TreeRoot): number[] {
  return [...new ExtentMap(file.store(), root).extents(0, Number.MAX_SAFE_INTEGER)].flatMap(
    ({ start, length, log }) => [start, length, log],
  );
}

/** A mover of the pages that `shouldMove` says, to the end of the file. */
function moverOf(file: PageFile, shouldMove: (ref: PageRef) => boolean): Mover & { readonly gone: PageRef[] } {
  const gone: PageRef[] = [];
  return {
    moved: new Map(),
    gone,

    isInTheWay: shouldMove,
    placeFor: (ref) => file.reserve(ref.lengthBytes),
    placeAnywhere: (lengthBytes) => file.reserve(lengthBytes),
    write: (bytes, place) => file.write(bytes, place),
    gaveUp: (ref) => gone.push(ref),
  };
}

describe('walkTree', () => {
  it('visits nothing for an empty tree, and the one leaf of an inline one', () => {
    const file = new PageFile();
    const leaves: Extents[] = [];
    const visitor = { page: () => expect.fail('no page is stored'), leaf: (leaf: Extents) => leaves.push(leaf) };
    walkTree(extentLayout, file.store(), null, visitor);
    expect(leaves).toEqual([]);
    const map = new ExtentMap(file.store(), null);
    map.set(1, 2, 3);
    walkTree(extentLayout, file.store(), map.tree.flush(file.sink()), visitor);
    expect(leaves).toHaveLength(1);
  });

  it('visits every page once and every entry once', () => {
    const { file, first } = twoVersions();
    const places: number[] = [];
    let extents = 0;
    const { reads } = file.storage.during(() => {
      walkTree(extentLayout, file.store(), first, {
        page: (ref) => places.push(ref.place) > 0,
        leaf: (leaf) => {
          extents += extentCount(leaf);
        },
      });
    });
    expect(extents).toBe(EXTENTS);
    expect(new Set(places).size).toBe(places.length);
    expect(reads).toBe(places.length);
  });

  it('goes through shared pages once for all roots', () => {
    const { file, first, second } = twoVersions();
    const seen = new Set<number>();
    const walk = (root: TreeRoot): number => {
      const before = seen.size;
      walkTree(extentLayout, file.store(), root, {
        page: (ref) => {
          if (seen.has(ref.place)) return false;
          seen.add(ref.place);
          return true;
        },
        leaf: () => {},
      });
      return seen.size - before;
    };
    expect(walk(first)).toBeGreaterThan(30);
    expect(walk(second)).toBeLessThanOrEqual(levelsOf(extentLayout, file.store(), second) + 1);
  });

  it('goes on beside a damaged page and says what it covers; without a taker the error comes out', () => {
    const { file, first } = twoVersions();
    const places = [...file.reachable(extentLayout, first)].sort((a, b) => a - b);
    const victim = places[10] as number;
    const byte = new Uint8Array(1);
    file.storage.read(byte, victim + 20);
    file.storage.write(Uint8Array.of((byte[0] as number) ^ 1), victim + 20);
    expect(() => walkTree(extentLayout, file.store(), first, { page: () => true, leaf: () => {} })).toThrow(
      `page at ${victim} has a wrong checksum`,
    );
    let extents = 0;
    const damaged: [unknown, unknown][] = [];
    walkTree(extentLayout, file.store(), first, {
      page: () => true,
      leaf: (leaf) => {
        extents += extentCount(leaf);
      },
      damage: (error, from, to) => {
        expect(error).toMatchObject({ code: 'corrupt', hostOffset: victim });
        damaged.push([from, to]);
      },
    });
    expect(damaged).toHaveLength(1);
    const [[from, to]] = damaged as [[number, number]];
    expect(extents).toBe(EXTENTS - (to - from) / 2);
  });
});

describe('moveTree', () => {
  it('leaves a tree alone that need not move', () => {
    const { file, first } = twoVersions();
    const mover = moverOf(file, () => false);
    file.forgetHistory();
    expect(moveTree(extentLayout, file.store(), first, mover)).toBe(first);
    expect([file.written.size, mover.gone.length]).toEqual([0, 0]);
    expect(moveTree(extentLayout, file.store(), null, mover)).toBe(null);
    const inline = Uint8Array.of(1);
    expect(moveTree(extentLayout, file.store(), inline, mover)).toBe(inline);
  });

  it('never gives up what another root goes on with, also where room comes up in between', () => {
    const { file, first, second } = twoVersions();
    const contents = [contentOf(file, first), contentOf(file, second)];
    let hasRoom = false;
    const mover: Mover & { readonly gone: PageRef[] } = {
      ...moverOf(file, () => true),
      placeFor: ({ lengthBytes }) => (hasRoom ? file.reserve(lengthBytes) : undefined),
    };
    const moved = [moveTree(extentLayout, file.store(), first, mover)];
    hasRoom = true;
    moved.push(moveTree(extentLayout, file.store(), second, mover));
    const kept = new Set(moved.flatMap((root) => [...file.reachable(extentLayout, root)]));
    expect(mover.gone.length).toBeGreaterThan(0);
    expect(mover.gone.filter(({ place }) => kept.has(place))).toEqual([]);
    expect(moved.map((root) => contentOf(file, root))).toEqual(contents);
  });

  it('moves everything, keeps what is shared shared, and gives up each old page once', () => {
    const { file, first, second } = twoVersions();
    const contents = [contentOf(file, first), contentOf(file, second)];
    const old = new Set([...file.reachable(extentLayout, first), ...file.reachable(extentLayout, second)]);
    const mover = moverOf(file, () => true);
    file.forgetHistory();
    const moved = [first, second].map((root) => moveTree(extentLayout, file.store(), root, mover));
    expect(moved.map((root) => contentOf(file, root))).toEqual(contents);
    expect(file.written.size).toBe(old.size);
    expect(mover.gone.map(({ place }) => place).sort()).toEqual([...old].sort());
    for (const root of moved)
      for (const place of file.reachable(extentLayout, root)) expect(old.has(place)).toBe(false);
  });

  it('moves only the pages it should and those above them', () => {
    const { file, first, second } = twoVersions();
    const places = [...file.reachable(extentLayout, first)].sort((a, b) => a - b);
    const victim = places[3] as number;
    const mover = moverOf(file, (ref) => ref.place === victim);
    file.forgetHistory();
    const moved = [first, second].map((root) => moveTree(extentLayout, file.store(), root, mover));
    expect(contentOf(file, moved[0] as TreeRoot)).toEqual(contentOf(file, first));
    expect(file.reachable(extentLayout, moved[0] as TreeRoot).has(victim)).toBe(false);
    // The page itself once, and the pages above it for each of the two roots.
    expect(file.written.size).toBeLessThanOrEqual(2 * levelsOf(extentLayout, file.store(), first) - 1);
    expect(mover.gone).toHaveLength(file.written.size);
  });
});

describe('loosenTree', () => {
  it('makes the next flush write the pages that must move, and those above them', () => {
    const { file, first } = twoVersions();
    const content = contentOf(file, first);
    const limit = [...file.reachable(extentLayout, first)].sort((a, b) => a - b)[30] as number;
    const map = new ExtentMap(file.store(), first);
    file.forgetHistory();
    loosenTree(map.tree, (ref) => ref.place < limit);
    const root = map.tree.flush(file.sink());
    const after = file.reachable(extentLayout, root);
    expect(contentOf(file, root)).toEqual(content);
    expect(Math.min(...after)).toBe(limit);
    expect(file.released).toHaveLength(file.written.size);
    for (const { place } of file.released) expect(after.has(place)).toBe(false);
  });

  it('changes nothing when no page must move', () => {
    const { file, first } = twoVersions();
    const map = new ExtentMap(file.store(), first);
    file.forgetHistory();
    loosenTree(map.tree, () => false);
    expect(map.tree.flush(file.sink())).toBe(first);
    expect(file.written.size + file.released.length).toBe(0);
  });
});
