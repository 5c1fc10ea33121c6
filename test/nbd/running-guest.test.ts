import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { boot, countWritten, guestDisk, writtenDisk } from '../support/guest.ts';
import { startServing } from '../support/serving.ts';
import { workspace } from '../support/workspace.ts';

/** More than it gets to: it is told to end. */
const WRITE_COUNT = 15_000;
const WRITES_A_DOT = 16;

const place = workspace();
const { ok, path } = place;

async function contentOf(revision: string): Promise<Buffer> {
  await ok(['read', revision, '-o', 'content.raw', '-q']);
  return readFileSync(path('content.raw'));
}

it('a guest that writes is committed while it runs, each time with all that it had written by then', async () => {
  const disk = guestDisk({ text: 'writing\r\n', writeCount: WRITE_COUNT });
  writeFileSync(path('disk.raw'), disk);
  await ok(['import', 'disk.raw', 'a.vsi', '-q', '-m', 'before']);
  const server = await startServing(place);
  const machine = boot(server, '');
  const dots = () => machine.console().split('.').length - 1;
  const writtenBefore: number[] = [];
  for (const version of [2, 3, 4]) {
    await machine.printed('.'.repeat(dots() + 4));
    writtenBefore.push(dots() * WRITES_A_DOT);
    await ok(['commit', 'a.vsi', '-q', '-m', `version ${version} of a running guest`]);
  }
  machine.tell();
  expect(await machine.ended).toMatch(/^writing\r\n\.+\$$/);
  await server.stop();
  let before = 0;
  for (const [index, atLeast] of writtenBefore.entries()) {
    const content = await contentOf(`a.vsi@${index + 2}`);
    const count = countWritten(content);
    expect(count).toBeGreaterThanOrEqual(atLeast);
    expect(count).toBeGreaterThan(before);
    // Nothing came before what it waited for: what it had written is there, and nothing else.
    expect(content.equals(writtenDisk(disk, count))).toBe(true);
    before = count;
  }
  expect((await contentOf('a.vsi@1')).equals(disk)).toBe(true);
  expect(countWritten(await contentOf('a.vsi'))).toBeGreaterThan(before);
});
