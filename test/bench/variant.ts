import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Constants of src/format/layout.ts, by name. */
export type Constants = Readonly<Record<string, number>>;

function edit(path: string, pattern: RegExp, replacement: string): void {
  const before = readFileSync(path, 'utf8');
  const after = before.replace(pattern, replacement);
  if (!pattern.test(before)) throw new Error(`${path} has nothing like ${pattern}`);
  writeFileSync(path, after);
}

/**
 * Builds the program with other constants, in a folder of its own. It counts the bytes that it decodes in the global
 * `decodedBytes`.
 */
export function buildVariant(directory: string, constants: Constants): void {
  mkdirSync(directory, { recursive: true });
  for (const name of ['src', 'bin', '.ci', 'package.json', 'tsconfig.json'])
    cpSync(name, join(directory, name), { recursive: true });
  symlinkSync(realpathSync('node_modules'), join(directory, 'node_modules'));
  for (const [name, value] of Object.entries(constants))
    edit(join(directory, 'src/format/layout.ts'), new RegExp(`(export const ${name} = )[^;]+;`), `$1${value};`);
  edit(
    join(directory, 'src/log/codec.ts'),
    /(function checkFrame\(\w+: Uint8Array, (\w+): number, place: number\): void \{)/,
    "$1 Reflect.set(globalThis, 'decodedBytes', Number(Reflect.get(globalThis, 'decodedBytes') ?? 0) + $2);",
  );
  const { status, stderr } = spawnSync(process.execPath, ['.ci/build.mjs'], { cwd: directory, encoding: 'utf8' });
  if (status !== 0) throw new Error(`the build with ${JSON.stringify(constants)} failed: ${stderr}`);
}
