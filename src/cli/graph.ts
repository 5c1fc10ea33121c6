/** What the graph needs to know of a version. */
export interface GraphNode {
  readonly number: number;
  readonly parent: number | null;
}

/** How one version is drawn: what stands before its lines of text, all equally wide. */
export interface GraphRow {
  readonly first: string;
  /** Before the lines after the first, in which lines of history move; all are drawn, with text or without. */
  readonly moves: readonly string[];
  /** Before all further lines. */
  readonly rest: string;
}

/** Two cells for each lane: a cell holds the lane that the line in it leads to. */
type Cells = (number | undefined)[];

/**
 * Draws lines of history beside a list of versions, as `git log --graph` draws commits with one parent. Versions come
 * newest first, each after all its children. A lane is a column with the number of the version that its line leads down to.
 */
export class Graph {
  #lanes: number[] = [];
  /** The line drawn before, if lines moved in it. */
  #moved: Cells = [];

  next({ number, parent }: GraphNode): GraphRow {
    const lanes = this.#lanes.includes(number) ? this.#lanes : [...this.#lanes, number];
    const width = 2 * lanes.length;
    const below = new Map<number, number>();
    const cells: Cells = new Array(width);
    for (const [lane, version] of lanes.entries()) {
      const leadsTo = version === number ? parent : version;
      if (leadsTo === null) continue;
      if (!below.has(leadsTo)) below.set(leadsTo, below.size);
      cells[2 * lane] = below.get(leadsTo);
    }
    const mark = (version: number, lane: number): string => {
      if (version === number) return '* ';
      const comesFromRight = this.#moved[2 * lane + 1] === lane;
      return comesFromRight && (cells[2 * lane] ?? lane) < lane ? '/ ' : '| ';
    };
    const first = lanes.map(mark).join('');
    const { lines, last } = drawMoves(cells);
    this.#lanes = [...below.keys()];
    this.#moved = last;
    return {
      first,
      moves: lines.map((line) => line.padEnd(width)),
      rest: '| '.repeat(below.size).padEnd(width),
    };
  }
}

/** The lines in which everything gets to its lane, and the cells of the last one. */
function drawMoves(cells: Cells): { readonly lines: readonly string[]; readonly last: Cells } {
  const lines: string[] = [];
  let last: Cells = [];
  for (let at = cells; at.some((lane, cell) => lane !== undefined && lane !== cell >> 1); ) {
    const { cells: moved, bridge } = move(at);
    lines.push(draw(moved, bridge));
    at = settle(moved, bridge);
    last = moved;
  }
  return { lines, last };
}

/** A line that goes to the left over several lanes at once; there is room for one at a time. */
interface Bridge {
  readonly lane: number;
  /** The cell that it comes from. */
  readonly from: number;
}

/** Every line goes one cell to the left, or two where it crosses another. */
function move(cells: Cells): { readonly cells: Cells; readonly bridge: Bridge | undefined } {
  const moved: Cells = new Array(cells.length);
  let bridge: Bridge | undefined;
  for (const [cell, lane] of cells.entries()) {
    if (lane === undefined) continue;
    const left = moved[cell - 1];
    if (2 * lane === cell) moved[cell] = lane;
    else if (left !== lane) {
      const isFree = left === undefined;
      moved[isFree ? cell - 1 : cell - 2] = lane;
      if (bridge !== undefined) continue;
      bridge = { lane, from: isFree ? cell : cell - 1 };
      for (let under = firstOfBridge(lane); under < cell - 2; under += 2) moved[under] = lane;
    }
  }
  return { cells: moved, bridge };
}

function firstOfBridge(lane: number): number {
  return 2 * lane + 3;
}

function isBridge(bridge: Bridge | undefined, lane: number | undefined, cell: number): boolean {
  return bridge !== undefined && lane === bridge.lane && 2 * lane !== cell && cell !== bridge.from - 1;
}

function draw(cells: Cells, bridge: Bridge | undefined): string {
  return Array.from(cells, (lane, cell) => {
    if (lane === undefined) return ' ';
    if (2 * lane === cell) return '|';
    return isBridge(bridge, lane, cell) ? '_' : '/';
  }).join('');
}

/** What goes on in the next line: of a bridge, its left end. */
function settle(cells: Cells, bridge: Bridge | undefined): Cells {
  let used = false;
  return Array.from(cells, (lane, cell) => {
    if (lane === undefined || 2 * lane === cell) return lane;
    if (isBridge(bridge, lane, cell)) {
      used = true;
      return cell === firstOfBridge(lane) ? lane : undefined;
    }
    return used && cell < (bridge?.from ?? 0) ? undefined : lane;
  });
}
