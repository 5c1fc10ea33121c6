import type { SeededRandom } from '../../support/random.ts';
import { encodePage, encodeTable } from './compile.ts';
import { hostileFrame } from './frames.ts';
import { havoc } from './havoc.ts';
import type { Loose, Num } from './loose-writer.ts';
import type { Entry, Field, FieldValue, InnerEntry, Model, Page, Ref, Table } from './model.ts';
import { isFields, isRoot } from './model.ts';

const NUMBERS: readonly Num[] = [
  0,
  1,
  2,
  3,
  7,
  127,
  128,
  255,
  256,
  511,
  512,
  4095,
  4096,
  8191,
  8192,
  8193,
  65_535,
  65_536,
  65_537,
  2 ** 20,
  2 ** 20 + 1,
  2 ** 28 - 1,
  2 ** 28,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  2 ** 47,
  2 ** 48 - 1,
  2 ** 48,
  2 ** 48 + 1,
  2 ** 51 - 1,
  2 ** 51,
  2 ** 51 + 1,
  2 ** 53 - 1,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
  2n ** 69n,
  -1,
  -2,
  -8192,
];

const TEXTS: readonly string[] = [
  '__proto__',
  'constructor',
  'toString',
  'HEAD',
  '',
  '1',
  '007',
  'main',
  'a'.repeat(255),
  'b'.repeat(512),
  '../../etc',
  '\u001b[2J',
  'x\u0000y',
  'refs/heads/x.lock',
  '@',
  '~',
  '^',
  '-x',
  'ÿ\u00ff\u00fe',
  '\ud800',
  '💾'.repeat(20),
];

/** What a mutation changed, to be taken back. */
export type Undo = () => void;

interface Slot {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

/** Where a model may be changed: gathered once, as mutations are taken back. */
interface Places {
  readonly numbers: readonly Slot[];
  readonly byteses: readonly Slot[];
  readonly lists: readonly unknown[][];
  readonly refs: readonly Ref<Page>[];
  readonly fields: readonly Field[];
  readonly fieldLists: readonly Field[][];
}

const known = new WeakMap<Model, Places>();

function placesOf(model: Model): Places {
  const found = known.get(model);
  if (found !== undefined) return found;
  const [numbers, byteses, lists, refs, fields, fieldLists]: [
    Slot[],
    Slot[],
    unknown[][],
    Ref<Page>[],
    Field[],
    Field[][],
  ] = [[], [], [], [], [], []];
  const seen = new Set<object>();
  const visit = (holder: object): void => {
    if (seen.has(holder)) return;
    seen.add(holder);
    if ('target' in holder && 'keyed' in (holder.target as object)) refs.push(holder as Ref<Page>);
    if ('fields' in holder) fieldLists.push(holder.fields as Field[]);
    if ('key' in holder && 'value' in holder && !('type' in holder)) fields.push(holder as Field);
    for (const [key, value] of Object.entries(holder)) {
      if (['home', 'base', 'at', 'size', 'stamp', 'blockBytes', 'name'].includes(key)) continue;
      const slot = { holder: holder as Record<string, unknown>, key };
      const isLie = value === undefined && ['place', 'length', 'sum', 'count', 'runCount'].includes(key);
      if (typeof value === 'number' || isLie) numbers.push(slot);
      else if (value instanceof Uint8Array || (typeof value === 'string' && key !== 'type')) byteses.push(slot);
      else if (typeof value === 'object' && value !== null) {
        if (Array.isArray(value) && !('name' in holder)) lists.push(value);
        visit(value);
      }
    }
  };
  visit(model.header);
  fieldLists.push(model.header);
  for (const key of ['generation', 'length']) numbers.push({ holder: model.slot as unknown as Slot['holder'], key });
  const places = { numbers, byteses, lists, refs, fields, fieldLists };
  known.set(model, places);
  return places;
}

function pick<T>(random: SeededRandom, list: readonly T[]): T | undefined {
  return list[random.below(list.length)];
}

function set(holder: Record<string, unknown>, key: string, value: unknown): Undo {
  const old = holder[key];
  holder[key] = value;
  return () => {
    holder[key] = old;
  };
}

function setList(list: unknown[], next: readonly unknown[]): Undo {
  const old = [...list];
  list.splice(0, list.length, ...next);
  return () => {
    list.splice(0, list.length, ...old);
  };
}

type Mutation = (model: Model, random: SeededRandom, others: readonly Model[]) => Undo | undefined;

const changeNumber: Mutation = (model, random) => {
  const { numbers } = placesOf(model);
  const slot = pick(random, numbers);
  if (slot === undefined) return undefined;
  const old = slot.holder[slot.key] as Num | undefined;
  const isChecksum = slot.key === 'sum' && 'target' in slot.holder;
  const other = pick(random, numbers);
  const ways: (() => unknown)[] = [
    () => pick(random, NUMBERS),
    () => random.below(300),
    () => (typeof old === 'number' ? old + 1 : 1),
    () => (typeof old === 'number' ? old - 1 : 8192),
    () => (typeof old === 'number' ? old * 2 : 600),
    () => other?.holder[other.key] ?? 0,
  ];
  let value = pick(random, ways)?.();
  // What was a number may hold something else since an earlier mutation.
  if (typeof value !== 'number' && typeof value !== 'bigint') value = 0;
  if (isChecksum) value = Number(BigInt.asUintN(32, BigInt((value ?? 0) as Num)));
  return set(slot.holder, slot.key, value);
};

const changeBytes: Mutation = (model, random) => {
  const slot = pick(random, placesOf(model).byteses);
  if (slot === undefined) return undefined;
  const old = slot.holder[slot.key];
  if (typeof old === 'string') {
    const text = pick(random, TEXTS) as string;
    const changed =
      random.below(2) === 0 ? text : Buffer.from(havoc(Buffer.from(old, 'latin1'), random)).toString('latin1');
    return set(slot.holder, slot.key, changed.slice(0, 600));
  }
  return old instanceof Uint8Array ? set(slot.holder, slot.key, havoc(old, random)) : undefined;
};

const changeList: Mutation = (model, random, others) => {
  const list = pick(random, placesOf(model).lists);
  if (list === undefined) return undefined;
  const at = random.below(list.length + 1);
  const item = list[Math.min(at, list.length - 1)];
  const foreign = pick(
    random,
    placesOf(pick(random, others) ?? model).lists.filter((other) => isAlike(other[0], list[0])),
  );
  const ways: (() => readonly unknown[])[] = [
    () => list.toSpliced(at, 1),
    () => (item === undefined ? list : list.toSpliced(at, 0, item)),
    () => list.toReversed(),
    () => (item === undefined ? list : list.toSpliced(at, 0, ...new Array<unknown>(200).fill(item))),
    () => list.slice(0, at),
    () => list.toSpliced(at, 1, ...(foreign ?? []).slice(0, 3)),
    () => random.shuffled(list),
  ];
  return setList(list, pick(random, ways)?.() ?? list);
};

function isAlike(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return typeof a === typeof b;
  return Object.keys(a).join() === Object.keys(b).join();
}

/** A pointer to a page leads to another one: itself, its parent, a sibling, one of another tree or container. */
const changePointer: Mutation = (model, random, others) => {
  const { refs } = placesOf(model);
  const ref = pick(random, refs);
  const page = pick(random, (random.below(8) === 0 ? (pick(random, others) ?? model) : model).pages);
  if (ref === undefined || page === undefined) return undefined;
  if ('inline' in ref && random.below(4) === 0)
    return set(ref as unknown as Record<string, unknown>, 'inline', !ref.inline);
  return set(ref as unknown as Record<string, unknown>, 'target', page);
};

/** The same with the key and level that make it look right. */
const fitPointer: Mutation = (model, random) => {
  const parent = pick(
    random,
    model.pages.filter(({ level }) => Number(level) > 0),
  );
  const entry = parent === undefined ? undefined : (pick(random, parent.entries) as InnerEntry);
  const page = pick(random, model.pages);
  if (parent === undefined || entry?.type !== 'inner' || page === undefined) return undefined;
  const undoTarget = set(entry.ref as unknown as Record<string, unknown>, 'target', page);
  const undoKey = set(entry as unknown as Record<string, unknown>, 'key', keyOf(page.entries[0]) ?? entry.key);
  const undoLevel = set(parent as unknown as Record<string, unknown>, 'level', Number(page.level) + 1);
  return () => {
    undoLevel();
    undoKey();
    undoTarget();
  };
};

function keyOf(entry: Entry | undefined): Num | string | undefined {
  if (entry === undefined) return undefined;
  return entry.type === 'extent' ? entry.gap : entry.key;
}

/** A page of many equal children, or a chain of pages of one child each. */
const stackPages: Mutation = (model, random) => {
  const ref = pick(random, placesOf(model).refs);
  if (ref === undefined) return undefined;
  let page = ref.target;
  const key = keyOf(page.entries[0]) ?? 0;
  const [levels, width] = pick(random, [
    [60, 1],
    [3, 60],
    [2, 2],
    [1, 1],
  ]) as [number, number];
  for (let level = 1; level <= levels; level++) {
    const child = page;
    page = {
      ...child,
      home: { at: -1, size: 0 },
      at: -1,
      size: 0,
      raw: undefined,
      count: undefined,
      level: Number(child.level) + 1,
      entries: Array.from({ length: width }, (_, index) => ({
        type: 'inner' as const,
        key: typeof key === 'string' || index === 0 ? key : Number(key) + index,
        ref: { target: child, place: undefined, length: undefined, sum: undefined },
        sum: child.hasSums ? random.below(2) * 2 ** 40 : undefined,
      })),
    };
  }
  return set(ref as unknown as Record<string, unknown>, 'target', page);
};

/** The bytes of a page or table, changed anywhere before they are sealed. */
const changeRecord: Mutation = (model, random) => {
  const record = pick<Page | Table>(random, random.below(4) === 0 ? model.tables : model.pages);
  if (record === undefined) return undefined;
  const bytes = 'keyed' in record ? encodePage(model, record) : encodeTable(model, record);
  return set(record as unknown as Record<string, unknown>, 'raw', havoc(bytes, random));
};

const changeChunk: Mutation = (model, random) => {
  const chunk = pick(random, model.chunks);
  if (chunk === undefined) return undefined;
  const isFrame = random.below(2) === 0;
  const bytes = isFrame ? hostileFrame(random, model.blockBytes) : havoc(chunk.bytes, random);
  const undo = set(chunk as unknown as Record<string, unknown>, 'bytes', bytes);
  const owner = model.tables.flatMap(({ chunks }) => chunks).find((it) => it?.ref.target === chunk);
  if (owner === undefined || random.below(4) === 0) return undo;
  const undoLength = set(owner as unknown as Record<string, unknown>, 'stored', bytes.length);
  const undoCodec = isFrame ? set(owner as unknown as Record<string, unknown>, 'codec', 1) : undefined;
  return () => {
    undoCodec?.();
    undoLength();
    undo();
  };
};

const ODD_VALUES: readonly ((random: SeededRandom) => Loose)[] = [
  () => null,
  () => true,
  (random) => pick(random, NUMBERS) ?? 0,
  (random) => pick(random, TEXTS) ?? '',
  (random) => random.bytes(random.below(40)),
  (random) => Array.from({ length: random.below(60) }, () => pick(random, NUMBERS) ?? 0),
  () => ({ pairs: [['__proto__', { pairs: [['polluted', 1]] }]] }),
  (random) => nested(1 + random.below(40)),
  // 4 GiB of text, of bytes; an array of as many items; a floating point number; an extension.
  () => ({ verbatim: Uint8Array.of(0xdb, 0xff, 0xff, 0xff, 0xff) }),
  () => ({ verbatim: Uint8Array.of(0xc6, 0xff, 0xff, 0xff, 0xff) }),
  () => ({ verbatim: Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff) }),
  () => ({ verbatim: Uint8Array.of(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0) }),
  () => ({ verbatim: Uint8Array.of(0xd4, 0x72, 0x40) }),
];

function nested(depth: number): Loose {
  return depth === 0 ? 1 : depth % 2 === 0 ? [nested(depth - 1)] : { pairs: [['n', nested(depth - 1)]] };
}

const changeDocument: Mutation = (model, random) => {
  const { fields, fieldLists } = placesOf(model);
  const odd = (): FieldValue => (pick(random, ODD_VALUES) as (random: SeededRandom) => Loose)(random);
  if (random.below(3) === 0) {
    const list = pick(random, fieldLists) as Field[];
    const at = random.below(list.length + 1);
    const added: Field = { key: pick(random, TEXTS) ?? '', value: odd() };
    return setList(list, random.below(2) === 0 ? list.toSpliced(at, 1) : list.toSpliced(at, 0, added));
  }
  const field = pick(random, fields) as Field | undefined;
  if (field === undefined) return undefined;
  const holder = field as unknown as Record<string, unknown>;
  if (random.below(6) === 0) return set(holder, 'key', pick(random, TEXTS));
  const other = pick(random, fields);
  const useOther = other !== undefined && random.below(2) === 0 && (isRoot(other.value) || isFields(other.value));
  return set(holder, 'value', useOther ? other.value : odd());
};

const changeSlots: Mutation = (model, random) => {
  const holder = model.slot as unknown as Record<string, unknown>;
  const old = Number(model.slot.generation);
  return pick(random, [
    () => set(holder, 'generation', pick(random, [2 ** 48, 2 ** 48 - 1, 2 ** 48 + 1, 0, 1, 2n ** 64n - 1n] as Num[])),
    () => set(holder, 'length', pick(random, NUMBERS)),
    () => set(holder, 'second', pick<Num | string>(random, ['zeros', old - 1, old + 1, old + 100, 2 ** 48])),
    () =>
      set(
        model as unknown as Record<string, unknown>,
        'growth',
        random.below(4) === 0 ? 5000 : -random.below(model.base.length),
      ),
  ])?.();
};

const MUTATIONS: readonly (readonly [Mutation, number])[] = [
  [changeNumber, 30],
  [changeBytes, 6],
  [changeList, 10],
  [changePointer, 8],
  [fitPointer, 4],
  [stackPages, 4],
  [changeRecord, 14],
  [changeChunk, 8],
  [changeDocument, 8],
  [changeSlots, 3],
];
/** Each as often as its weight says. */
const LOTS: readonly Mutation[] = MUTATIONS.flatMap(([mutation, weight]) => new Array<Mutation>(weight).fill(mutation));

/** Changes a model in one to four places; the result takes it all back. */
export function mutate(model: Model, random: SeededRandom, others: readonly Model[]): Undo {
  const undos: Undo[] = [];
  for (let count = 1 + Math.floor(random.next() ** 2 * 4); count > 0; count--) {
    const undo = pick(random, LOTS)?.(model, random, others);
    if (undo !== undefined) undos.push(undo);
  }
  return () => {
    for (const undo of undos.reverse()) undo();
  };
}
