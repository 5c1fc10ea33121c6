import { describe, expect, it } from 'vitest';
import { newImage, noise } from '../support/image.ts';
import { CHUNK, CMD, ERRNO, FLAG, requestBytes } from '../support/nbd-client.ts';
import { MemoryServer } from '../support/nbd-server.ts';
import { isClosed, SIZE, server } from '../support/served-versions.ts';

describe('requests', () => {
  it('that change a version are refused, and their data is left out', async () => {
    const { client } = await server();
    const one = client();
    await one.open('1');
    for (const command of [CMD.write, CMD.trim, CMD.zeroes]) {
      const data = command === CMD.write ? { data: noise(100_000, 4) } : { length: 100_000 };
      expect(await one.request({ command, offset: 0, ...data })).toMatchObject({ error: ERRNO.EPERM });
    }
    expect((await one.read(0, 65_536)).equals(noise(65_536, 1))).toBe(true);
  });

  it.each([
    [CMD.read, ERRNO.EINVAL],
    [CMD.write, ERRNO.ENOSPC],
    [CMD.trim, ERRNO.EINVAL],
    [CMD.zeroes, ERRNO.ENOSPC],
    [CMD.cache, ERRNO.EINVAL],
    [CMD.status, ERRNO.EINVAL],
  ])('of command %i beyond the end are error %i', async (command, error) => {
    const { client } = await server();
    const one = client();
    await one.open('', { contexts: ['base:allocation'] });
    for (const offset of [SIZE - 4095, SIZE, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
      const data = command === CMD.write ? { data: noise(4096, 1) } : { length: 4096 };
      expect(await one.request({ command, offset, ...data })).toMatchObject({ error });
    }
    if (command !== CMD.write && command !== CMD.read)
      expect(await one.request({ command, offset: 0, length: 2 ** 32 - 1 })).toMatchObject({ error });
    await one.flush();
  });

  it('of unknown commands and with flags of others are refused', async () => {
    const { client } = await server();
    const one = client();
    await one.open('');
    for (const command of [8, 9, 255, 65_535])
      expect(await one.request({ command, length: 512 })).toMatchObject({ error: ERRNO.EINVAL });
    for (const [command, flags] of [
      [CMD.read, FLAG.noHole],
      [CMD.read, 0x8000],
      [CMD.trim, FLAG.fastZero],
      [CMD.flush, FLAG.dontFragment],
      [CMD.zeroes, FLAG.requestOne],
    ] as const)
      expect(await one.request({ command, flags, length: 512 })).toMatchObject({ error: ERRNO.EINVAL });
    const data = noise(512, 3);
    expect(await one.request({ command: CMD.write, flags: FLAG.noHole, data })).toMatchObject({ error: ERRNO.EINVAL });
    await one.flush();
  });

  it('of no bytes are done', async () => {
    const { client } = await server();
    for (const structured of [true, false]) {
      const one = client();
      await one.open('', { structured });
      expect((await one.read(0, 0)).length).toBe(0);
      for (const command of [CMD.trim, CMD.zeroes, CMD.cache]) await one.ok({ command, offset: SIZE });
      await one.write(SIZE, Buffer.alloc(0));
      await one.leave();
    }
  });

  it('with another magic end the connection', async () => {
    const { client } = await server();
    const one = client();
    await one.open('1');
    one.send(requestBytes(1n, { command: CMD.read, length: 4, magic: 0x2560_9514 }));
    expect((await one.rest()).length).toBe(0);
  });

  it('with more data than anybody may send end the connection', async () => {
    const { client } = await server();
    const one = client();
    await one.open('');
    one.send(requestBytes(1n, { command: CMD.write, length: 2 ** 32 - 1 }));
    expect(await isClosed(one)).toBe(true);
  });

  it('are all answered before a goodbye is followed', async () => {
    const { client } = await server();
    const one = client();
    await one.open('');
    const answers = [1, 2, 3].map((seed) => one.write(seed * 4096, noise(4096, seed), seed === 2 ? FLAG.fua : 0));
    answers.push(one.ok({ command: CMD.zeroes, offset: 65_536, length: 4096 }), one.flush());
    one.send(requestBytes(9n, { command: CMD.disconnect }), requestBytes(10n, { command: CMD.read, length: 512 }));
    await Promise.all(answers);
    expect((await one.rest()).length).toBe(0);
  });

  it('for many bytes at once are answered in parts, or refused where one part was asked for', async () => {
    const { image } = newImage({ sizeBytes: 8 * SIZE });
    await image.write(0, noise(3 * SIZE, 1));
    await image.publish();
    const one = new MemoryServer(image).connect().client;
    await one.open('');
    const { data, chunks } = await one.request({ command: CMD.read, offset: 0, length: 5 * SIZE });
    expect(data.equals(Buffer.concat([noise(3 * SIZE, 1), Buffer.alloc(2 * SIZE)]))).toBe(true);
    expect(chunks.some(({ type }) => type === CHUNK.hole)).toBe(true);
    const whole = await one.request({ command: CMD.read, flags: FLAG.dontFragment, offset: 512, length: 65_536 });
    expect(whole.chunks).toEqual([{ type: CHUNK.data, offset: 512, length: 65_536 }]);
    const long = await one.request({ command: CMD.read, flags: FLAG.dontFragment, offset: 0, length: 4 * SIZE });
    expect(long.chunks).toEqual([{ type: CHUNK.data, offset: 0, length: 4 * SIZE }]);
    expect(long.data.equals(Buffer.concat([noise(3 * SIZE, 1), Buffer.alloc(SIZE)]))).toBe(true);
  });
});
