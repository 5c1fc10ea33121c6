import { VsimgError } from '../errors.ts';

export type OptionValue = string | true | readonly string[];

/** What the user asked of one command: its arguments and options, checked against the definition. */
export class Invocation {
  readonly #operands: readonly string[];
  readonly #options: ReadonlyMap<string, OptionValue | undefined>;
  readonly #behindCount: number;
  /** A `--` was given, perhaps with nothing behind it. */
  readonly hasDashes: boolean;

  /**
   * `options` has an entry for every option the command knows, undefined where it was not given; `behindCount` is the number
   * of operands, the last ones, that stood behind a `--`.
   */
  constructor(
    operands: readonly string[],
    options: ReadonlyMap<string, OptionValue | undefined>,
    { behindCount = 0, hasDashes = false }: { readonly behindCount?: number; readonly hasDashes?: boolean } = {},
  ) {
    this.#operands = operands;
    this.#options = options;
    this.#behindCount = behindCount;
    this.hasDashes = hasDashes;
  }

  get operands(): readonly string[] {
    return this.#operands;
  }

  /** Those of the operands that stood behind a `--`. */
  get behindDashes(): readonly string[] {
    return this.#operands.slice(this.#operands.length - this.#behindCount);
  }

  /** The argument at `index`, which the definition requires. */
  operand(index: number): string {
    const value = this.#operands[index];
    if (value === undefined) throw new VsimgError('internal', `argument ${index} is not in the definition`);
    return value;
  }

  /** The same options with other arguments. */
  withOperands(operands: readonly string[]): Invocation {
    return new Invocation(operands, this.#options);
  }

  /** The same with other values of options. */
  withValues(values: ReadonlyMap<string, OptionValue>): Invocation {
    const { hasDashes } = this;
    const options = new Map([...this.#options, ...values]);
    return new Invocation(this.#operands, options, { behindCount: this.#behindCount, hasDashes });
  }

  /** Whether the definition has such an option. */
  knows(name: string): boolean {
    return this.#options.has(name);
  }

  /** Whether an option was given at all. */
  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  value(name: string): string | undefined {
    const value = this.#value(name);
    if (value === undefined || typeof value === 'string') return value;
    throw new VsimgError('internal', `option '${name}' is not one with a value`);
  }

  /** Values of an option that may be repeated. */
  values(name: string): readonly string[] {
    const value = this.#value(name);
    if (value === undefined) return [];
    if (typeof value === 'object') return value;
    throw new VsimgError('internal', `option '${name}' is not one that repeats`);
  }

  #value(name: string): OptionValue | undefined {
    if (!this.#options.has(name)) throw new VsimgError('internal', `option '${name}' is not in the definition`);
    return this.#options.get(name);
  }
}
