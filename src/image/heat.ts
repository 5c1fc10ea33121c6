import type { ByteRange } from '../storage/transfer.ts';
import { turnGiver } from '../storage/turns.ts';
import type { DiffRange, HeatCell, HeatMap, HeatOptions, HeatRow } from './api.ts';
import type { Lineage, Step } from './lineage.ts';

/** A picture of `range` through time, seen from a state (null: the working state, which has a row if it has changes). */
export async function heatMap(
  lineage: Lineage,
  from: number | null,
  { range, columnCount, rowCount }: HeatOptions & { readonly range: ByteRange },
): Promise<HeatMap> {
  const giveTurn = turnGiver();
  const blockCount = Math.ceil((range.end - range.start) / lineage.container.blockBytes);
  const columns = new Columns(range, Math.max(1, Math.min(columnCount, blockCount)));
  const rows: { readonly step: Step; readonly cells: (HeatCell | undefined)[] }[] = [];
  let open = rowCount > 0 ? columns.count : 0;
  for (const step of lineage.back(from)) {
    if (open === 0) break;
    columns.clear();
    for (const change of lineage.changes(step, range)) {
      columns.add(change);
      const turn = giveTurn();
      if (turn !== undefined) await turn;
    }
    const turn = giveTurn();
    if (turn !== undefined) await turn;
    if (step.version === null && columns.isEmpty) continue;
    if (rows.length < rowCount) {
      rows.push({ step, cells: new Array(columns.count).fill(undefined) });
      open = columns.count;
    }
    open -= columns.paint(
      step.version,
      rows.map(({ cells }) => cells),
    );
    // The row of the first version may stay open; a row still to come is always open.
    if (rows.length < rowCount) open = Math.max(1, open);
  }
  return {
    ...range,
    rows: rows.map(
      ({ step, cells }): HeatRow => ({
        version: step.version,
        cells: cells.map((cell, index) => (columns.startOf(index) < step.after.sizeBytes ? cell : undefined)),
      }),
    ),
  };
}

/** What one step did to each stretch of the disk. */
class Columns {
  readonly count: number;
  readonly #range: ByteRange;
  readonly #kinds: (DiffRange['kind'] | undefined)[];
  isEmpty = true;

  constructor(range: ByteRange, count: number) {
    this.#range = range;
    this.count = count;
    this.#kinds = new Array(count).fill(undefined);
  }

  clear(): void {
    this.isEmpty = true;
    this.#kinds.fill(undefined);
  }

  startOf(column: number): number {
    const { start, end } = this.#range;
    return start + (column * (end - start)) / this.count;
  }

  add({ start, length, kind }: DiffRange): void {
    const scale = this.count / (this.#range.end - this.#range.start);
    const first = Math.floor((start - this.#range.start) * scale);
    const end = Math.min(this.count, Math.max(first + 1, Math.ceil((start + length - this.#range.start) * scale)));
    for (let column = first; column < end; column++) {
      if (kind === 'data' || this.#kinds[column] === undefined) this.#kinds[column] = kind;
    }
    this.isEmpty = false;
  }

  /** Gives the cells of all rows that have no newer owner to `version`; tells how many it were of the last row. */
  paint(version: number | null, rows: readonly (HeatCell | undefined)[][]): number {
    let painted = 0;
    for (const [column, kind] of this.#kinds.entries()) {
      if (kind === undefined) continue;
      const cell: HeatCell = { version, kind: kind === 'data' ? 'data' : 'zero' };
      // What an older row has, every newer row has too.
      for (let row = rows.length - 1; row >= 0; row--) {
        const cells = rows[row] as (HeatCell | undefined)[];
        if (cells[column] !== undefined) break;
        cells[column] = cell;
        if (row === rows.length - 1) painted++;
      }
    }
    return painted;
  }
}
