/** The few styles that output uses. Without colour each is the identity. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  /** Versions and ids. */
  readonly version: (text: string) => string;
  /** Branches and tags. */
  readonly ref: (text: string) => string;
  /** Tells neighbours in a picture apart. */
  readonly hues: readonly ((text: string) => string)[];
}

function same(text: string): string {
  return text;
}

export const PLAIN: Paint = {
  strong: same,
  faint: same,
  good: same,
  bad: same,
  version: same,
  ref: same,
  hues: [same],
};

/** Colours by chalk, which is only loaded here because it costs start-up time. */
export async function loadColours(): Promise<Paint> {
  const { Chalk } = await import('chalk');
  const chalk = new Chalk({ level: 1 });
  return {
    strong: (text) => chalk.bold(text),
    faint: (text) => chalk.dim(text),
    good: (text) => chalk.green(text),
    bad: (text) => chalk.red(text),
    version: (text) => chalk.yellow(text),
    ref: (text) => chalk.cyan(text),
    hues: [chalk.blue, chalk.green, chalk.yellow, chalk.magenta, chalk.cyan, chalk.red],
  };
}

/** Colour is for terminals that can show it and users who did not decline it (no-color.org). */
export function wantsColour(isTerminal: boolean, env: Readonly<Record<string, string | undefined>>): boolean {
  const declined = env.NO_COLOR !== undefined && env.NO_COLOR !== '';
  return isTerminal && !declined && env.TERM !== 'dumb';
}
