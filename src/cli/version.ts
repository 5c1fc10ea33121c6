/** Version of the program; a test holds it equal to package.json's, which is not read at start-up. */
export const PROGRAM_VERSION = '0.1.0';

export const VERSION_LINE = `vsimg ${PROGRAM_VERSION}\n`;

export function asksForVersion(argv: readonly string[]): boolean {
  return argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V');
}
