import { readFileSync, writeFileSync } from 'node:fs';
import { kill } from 'node:process';
import { beforeAll, describe, expect, it } from 'vitest';
import { boot, guestDisk, writtenDisk } from '../support/guest.ts';
import { startServing } from '../support/serving.ts';
import { workspace } from '../support/workspace.ts';

const place = workspace();
const { ok, path } = place;

async function contentOf(revision: string): Promise<Buffer> {
  await ok(['read', revision, '-o', 'content.raw', '-q']);
  return readFileSync(path('content.raw'));
}

describe('a guest in qemu', () => {
  beforeAll(async () => {
    writeFileSync(path('one.raw'), guestDisk({ text: 'this is the first version\r\n' }));
    writeFileSync(path('two.raw'), guestDisk({ text: 'and this the second\r\n' }));
    await ok(['import', 'one.raw', 'a.vsi', '-q', '--tag', 'first']);
    await ok(['import', 'two.raw', 'a.vsi', '-q']);
  });

  it.each(['if=ide', 'if=virtio'])('boots every version of an image, all at once, with %s', async (bus) => {
    const server = await startServing(place);
    const names = ['1', '2', 'first', 'main', '1+scratch', ''];
    const machines = names.map((name) => boot(server, name, [bus, 'snapshot=on']));
    const consoles = await Promise.all(machines.map((machine) => machine.ended));
    const [one, two] = ['this is the first version\r\n$', 'and this the second\r\n$'];
    expect(consoles).toEqual([one, two, one, two, one, two]);
  });
});

describe('a guest in qemu that writes', () => {
  const WRITE_COUNT = 160;
  const disk = guestDisk({ text: 'writing\r\n', writeCount: WRITE_COUNT });
  const told = `writing\r\n${'.'.repeat(WRITE_COUNT / 16)}$`;

  beforeAll(async () => {
    writeFileSync(path('writer.raw'), disk);
  });

  it('has its writes in the working state, to be committed, and its next boot sees them', async () => {
    await ok(['import', 'writer.raw', 'b.vsi', '-q']);
    const server = await startServing(place, [], { image: 'b.vsi' });
    expect(await boot(server, '').ended).toBe(told);
    await server.stop();
    await ok(['commit', 'b.vsi', '-q', '-m', 'after the guest']);
    expect((await contentOf('b.vsi@2')).equals(writtenDisk(disk, WRITE_COUNT))).toBe(true);
    expect((await contentOf('b.vsi@1')).equals(disk)).toBe(true);
    const again = await startServing(place, [], { image: 'b.vsi' });
    expect(await boot(again, '2', ['if=ide', 'snapshot=on']).ended).toBe(told);
  });

  it('becomes a version of its own on a scratch disk, while others run on theirs', async () => {
    await ok(['import', 'writer.raw', 'c.vsi', '-q']);
    const keeping = ['--commit-on-disconnect', '-m', 'by a guest'];
    const server = await startServing(place, keeping, {
      image: 'c.vsi',
      stderr: /^(version \d+ was made from version \d+\n)+$/,
    });
    const machines = [1, 2, 3].map(() => boot(server, '1+scratch'));
    for (const machine of machines) expect(await machine.ended).toBe(told);
    await server.stop();
    for (const number of [2, 3, 4])
      expect((await contentOf(`c.vsi@${number}`)).equals(writtenDisk(disk, WRITE_COUNT))).toBe(true);
    expect((await contentOf('c.vsi')).equals(disk)).toBe(true);
  });

  it('has all that it was told is written when it is flushed and the server is killed', async () => {
    await ok(['import', 'writer.raw', 'd.vsi', '-q']);
    const server = await startServing(place, [], { image: 'd.vsi', mayBeKilled: true });
    expect(await boot(server, '', ['if=ide', 'cache=writethrough']).ended).toBe(told);
    kill(server.pid, 'SIGKILL');
    await server.ended;
    expect((await contentOf('d.vsi')).equals(writtenDisk(disk, WRITE_COUNT))).toBe(true);
  });
});
