import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { commit, newImage } from '../support/image.ts';
import { churn } from '../support/nbd-churn.ts';
import {
  CMD,
  contextData,
  FLAG,
  infoData,
  NbdClient,
  OPT,
  optionBytes,
  requestBytes,
  u32,
} from '../support/nbd-client.ts';
import { MemoryServer } from '../support/nbd-server.ts';
import { type ServeOptions, type Serving, serve } from '../support/server.ts';
import { noise, type Workspace, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const SIZE = 64 * MIB;
const DATA = noise(2 * MIB, 1);
/** What all hostile clients of a test may cost; a server with one client that reads has about half of it. */
const MAX_MEMORY_BYTES = 250 * MIB;

async function served(options: ServeOptions = {}): Promise<Serving & { readonly space: Workspace }> {
  const space = workspace();
  await space.ok(['create', 'disk.vsi', String(SIZE)]);
  await space.ok(['write', 'disk.vsi'], { stdin: DATA });
  await space.ok(['commit', 'disk.vsi', '-m', 'one']);
  return { space, ...(await serve(space.directory, space.path('disk.vsi'), options)) };
}

/** Somebody who behaves: whatever others do, reads and writes go well. */
async function expectServed(serving: Serving): Promise<void> {
  const client = serving.client();
  await client.open('1');
  expect((await client.read(0, DATA.length)).equals(DATA)).toBe(true);
  await client.leave();
}

/** Ends the server, which must have nothing to say, and looks into the image. */
async function expectSound({ space, stop, stderr }: Serving & { readonly space: Workspace }): Promise<void> {
  expect(await stop()).toBe(0);
  expect(stderr()).toBe('');
  await space.ok(['check', 'disk.vsi', '--data']);
  expect((await space.run(['read', 'disk.vsi@1', '--length', '2M'])).stdoutBytes.equals(DATA)).toBe(true);
}

/** Sends forever, as long as the other side takes it. */
function flood(client: NbdClient, bytes: Uint8Array): void {
  const more = (): void => {
    if (!client.socket.destroyed && client.socket.write(bytes)) setImmediate(more);
  };
  client.socket.on('drain', more);
  more();
}

describe('clients that are nobody', () => {
  it('may connect and leave at any point 500 times', async () => {
    const serving = await served();
    await churn(serving.socket, { connects: 500, seed: 1 });
    await expectServed(serving);
    expect(serving.memoryBytes('VmHWM')).toBeLessThan(MAX_MEMORY_BYTES);
    await expectSound(serving);
  });

  it('are turned away when there are many, and let in again later', async () => {
    const serving = await served({ argv: ['--max-connections', '4'] });
    const inside = Array.from({ length: 4 }, () => serving.client());
    for (const client of inside) await client.greet();
    const outside = serving.client();
    expect((await outside.rest()).length).toBe(0);
    expect(await inside[0]?.names()).toContain('1');
    inside.pop()?.socket.destroy();
    await expect.poll(() => expectServed(serving).then(() => 'served', String), { timeout: 10_000 }).toBe('served');
    await expectSound({ ...serving, stderr: () => serving.stderr().replace(/^vsimg: a client was turned .*\n/, '') });
  });

  it('are turned away when the process has no more files, and let in again later', async () => {
    const serving = await served({ argv: ['--max-connections', '1000'], openFiles: 48 });
    const sockets = Array.from({ length: 200 }, () => connect({ path: serving.socket }).on('error', () => {}));
    const [first] = sockets;
    if (first !== undefined) await new NbdClient(first).greet();
    await Promise.all(
      sockets.slice(100).map((socket) => new Promise((resolve) => socket.on('close', resolve).resume())),
    );
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => expectServed(serving).then(() => 'served', String), { timeout: 10_000 }).toBe('served');
    expect(await serving.stop()).toBe(0);
  });

  it('hold nothing but their place when they stop anywhere', async () => {
    const serving = await served();
    const go = optionBytes(OPT.go, infoData('1'));
    const scratch = optionBytes(OPT.go, infoData('1+scratch'));
    const starts = [
      Buffer.alloc(0),
      Buffer.from([0, 0]),
      u32(3),
      Buffer.concat([u32(3), go.subarray(0, 11)]),
      Buffer.concat([u32(3), optionBytes(99, Buffer.alloc(60_000)).subarray(0, 50_000)]),
      Buffer.concat([u32(3), go, requestBytes(1n, { command: CMD.read, length: 4096 }).subarray(0, 27)]),
      Buffer.concat([
        u32(3),
        scratch,
        requestBytes(1n, { command: CMD.write, length: 32 * MIB }),
        Buffer.alloc(8 * MIB),
      ]),
    ];
    const clients = Array.from({ length: 56 }, (_, index) => {
      const client = serving.client();
      client.send(starts[index % starts.length] as Buffer);
      return client;
    });
    await expectServed(serving);
    // Those in the handshake are cut off after a while; the others may stay.
    await Promise.all(clients.filter((_, index) => index % starts.length < 5).map((client) => client.rest()));
    await expectServed(serving);
    expect(serving.memoryBytes('VmHWM')).toBeLessThan(MAX_MEMORY_BYTES);
    for (const client of clients) client.socket.destroy();
    await expectSound(serving);
  });

  it('may ask for more than they take', async () => {
    const serving = await served();
    const clients = Array.from({ length: 24 }, (_, index) => {
      const client = serving.client();
      client.socket.pause();
      const flags = index % 2 === 0 ? 0 : FLAG.dontFragment;
      const read = requestBytes(1n, { command: CMD.read, flags, length: index % 3 === 0 ? 32 * MIB : MIB });
      client.send(u32(3), optionBytes(OPT.structuredReply), optionBytes(OPT.go, infoData('1')));
      flood(client, Buffer.concat(Array.from({ length: 1000 }, () => read)));
      return client;
    });
    for (let count = 0; count < 5; count++) await expectServed(serving);
    expect(serving.memoryBytes('VmHWM')).toBeLessThan(MAX_MEMORY_BYTES);
    for (const client of clients) client.socket.destroy();
    await expectServed(serving);
    await expectSound(serving);
  });

  it('may list without an end', async () => {
    const serving = await served();
    const clients = Array.from({ length: 24 }, () => {
      const client = serving.client();
      client.socket.pause();
      client.send(u32(3));
      flood(client, Buffer.concat(Array.from({ length: 100 }, () => optionBytes(OPT.list))));
      return client;
    });
    for (let count = 0; count < 5; count++) await expectServed(serving);
    expect(serving.memoryBytes('VmHWM')).toBeLessThan(MAX_MEMORY_BYTES);
    for (const client of clients) client.socket.destroy();
    await expectSound(serving);
  });

  it('leave no part of a request behind when they are gone in the middle', async () => {
    const serving = await served();
    const client = serving.client();
    await client.open('');
    await client.write(0, Buffer.alloc(4096, 7));
    await client.flush();
    client.send(requestBytes(7n, { command: CMD.write, offset: 4096, length: 2 * MIB }), Buffer.alloc(100, 9));
    client.socket.end();
    await client.rest();
    const next = serving.client();
    await next.open('');
    const now = await next.read(0, DATA.length);
    expect(now.equals(Buffer.concat([Buffer.alloc(4096, 7), DATA.subarray(4096)]))).toBe(true);
    await next.write(4096, Buffer.alloc(4096, 8));
    await next.leave();
    await expectSound(serving);
  });
});

describe('clients that keep the server busy', () => {
  it('with options let others have their turn', async () => {
    const { image } = newImage();
    for (let count = 0; count < 300; count++) await commit(image, 'x');
    const server = new MemoryServer(image);
    const { client: busy } = server.connect();
    const queries = Array.from({ length: 250 }, (_, index) => `vsimg:none-${index}:`);
    await busy.greet();
    let left = 3000;
    busy.send(...Array.from({ length: left }, () => optionBytes(OPT.listContexts, contextData('1', queries))));
    const answers = (async () => {
      for (; left > 0; left--) await busy.optionReplies(OPT.listContexts);
    })();
    await server.connect().client.open('1');
    expect(left).toBeGreaterThan(100);
    busy.socket.destroy();
    await answers.catch(() => undefined);
  });

  it('with requests let others have their turn', async () => {
    const blocks = 4096;
    const { image } = newImage({ sizeBytes: blocks * 4096 });
    // Neighbours that lie apart in the container, so that each has an entry of its own.
    for (let block = blocks - 1; block >= 0; block--)
      await image.write(block * 4096, Buffer.alloc(4096, 1 + (block % 7)));
    await commit(image);
    const server = new MemoryServer(image);
    const { client: busy } = server.connect();
    await busy.open('1', { contexts: ['base:allocation'] });
    let left = 2000;
    const all = Array.from({ length: left }, async () => {
      const { status } = await busy.request({ command: CMD.status, length: blocks * 4096 });
      expect(status.get(1)).toEqual([[blocks * 4096, 0]]);
      left--;
    });
    const { client: other } = server.connect();
    await other.open('1');
    await other.read(0, 4096);
    expect(left).toBeGreaterThan(1000);
    busy.socket.destroy();
    await Promise.allSettled(all);
  });
});
