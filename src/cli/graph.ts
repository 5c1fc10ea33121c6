/** What the graph needs to know of a version. */
export interface GraphNode {
  readonly number: number;
  readonly parent: number | null;
}

/** How one version is drawn: lines before it, the prefix of its first line, the prefix of its further lines. */
export interface GraphRow {
  readonly before: readonly string[];
  readonly first: string;
  readonly rest: string;
}

/**
 * Draws lines of history beside a list of versions as `git log --graph` does. Versions come newest first, each
 * after all its children. A lane is a column with the number of the version that its line leads down to.
 */
export class Graph {
  #lanes: number[] = [];
  /** Lane that ended at a first version and has not been closed up yet. */
  #ended: number | undefined;

  next(node: GraphNode): GraphRow {
    const before: string[] = [];
    if (this.#ended !== undefined) {
      const row = shiftRow(this.#lanes.length, this.#ended);
      if (row !== undefined) before.push(row);
      this.#ended = undefined;
    }
    let column = this.#lanes.indexOf(node.number);
    if (column === -1) {
      column = this.#lanes.length;
      this.#lanes.push(node.number);
    }
    for (;;) {
      const other = this.#lanes.indexOf(node.number, column + 1);
      if (other === -1) break;
      before.push(...joinRows(this.#lanes.length, column, other));
      this.#lanes.splice(other, 1);
    }
    const width = this.#lanes.length;
    const row = {
      before,
      first: laneRow(width, column, '*'),
      rest: laneRow(width, column, node.parent === null ? ' ' : '|'),
    };
    if (node.parent === null) {
      this.#lanes.splice(column, 1);
      this.#ended = column;
    } else {
      this.#lanes[column] = node.parent;
    }
    return row;
  }
}

function laneRow(width: number, column: number, mark: string): string {
  return Array.from({ length: width }, (_, lane) => (lane === column ? mark : '|')).join(' ');
}

/** Lanes right of an ended one move one to the left. */
function shiftRow(width: number, ended: number): string | undefined {
  if (ended >= width) return undefined;
  const cells = new Array<string>(2 * width + 1).fill(' ');
  for (let lane = 0; lane < ended; lane++) cells[2 * lane] = '|';
  for (let lane = ended; lane < width; lane++) cells[2 * lane + 1] = '/';
  return cells.join('').trimEnd();
}

/** Lane `from` runs into lane `into` on its left; lanes right of `from` move one to the left. */
function joinRows(width: number, into: number, from: number): string[] {
  const first = new Array<string>(2 * width - 1).fill(' ');
  for (let lane = 0; lane < from; lane++) first[2 * lane] = '|';
  for (let lane = from; lane < width; lane++) first[2 * lane - 1] = '/';
  if (from === into + 1) return [first.join('').trimEnd()];
  for (let lane = into + 2; lane < from; lane++) first[2 * lane - 1] = '_';
  const second = laneRow(width - 1, -1, '').split('');
  second[2 * into + 1] = '/';
  return [first.join('').trimEnd(), second.join('')];
}
