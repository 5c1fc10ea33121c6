import { describe, expect, it } from 'vitest';
import { noise } from '../support/image.ts';
import {
  CMD,
  contextData,
  ERRNO,
  FLAG,
  infoData,
  OPT,
  optionBytes,
  REP,
  requestBytes,
  u32,
} from '../support/nbd-client.ts';
import { isClosed, SIZE, server } from '../support/served-versions.ts';

const FLAGS = { hasFlags: 1, readOnly: 2, dontFragment: 128, multiConn: 256 } as const;

describe('the handshake', () => {
  it('begins with fixed newstyle and no zeroes', async () => {
    const { client } = await server();
    expect(await client().greet()).toBe(3);
  });

  it('ends for flags that nobody knows', async () => {
    const { client } = await server();
    for (const flags of [4, 7, 0x8000_0000, 0xffff_ffff]) {
      const one = client();
      await one.greet(flags);
      expect(await isClosed(one)).toBe(true);
    }
  });

  it.each([
    [0, 134],
    [2, 10],
  ])('of a client of the older kind with flags %i knows one option', async (flags, lengthBytes) => {
    const { client } = await server();
    const one = client();
    await one.greet(flags);
    one.send(optionBytes(OPT.exportName, Buffer.from('v1')));
    const facts = await one.need(lengthBytes);
    expect(Number(facts.readBigUInt64BE(0))).toBe(SIZE);
    expect((await one.read(0, 4096)).equals(noise(65_536, 1).subarray(0, 4096))).toBe(true);
    const other = client();
    await other.greet(flags);
    other.send(optionBytes(OPT.list));
    expect(await isClosed(other)).toBe(true);
  });

  it('ends for what is no option', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    one.send(Buffer.alloc(16, 7));
    expect((await one.rest()).length).toBe(0);
  });

  it.each([4, 11, 12, 0xffff_ffff])('says that it has no option %i, and goes on', async (option) => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(option, Buffer.alloc(100))).toBe(REP.unsupported);
    expect(await one.go('v1')).toMatchObject({ sizeBytes: SIZE });
  });

  it.each([OPT.list, OPT.structuredReply])('refuses data of option %i, and goes on', async (option) => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(option, Buffer.from([0]))).toBe(REP.invalid);
    expect(await one.verdict(option)).toBe(REP.ack);
  });

  it('leaves out the data of an option that is too long', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(OPT.info, Buffer.alloc(70_000))).toBe(REP.tooBig);
    expect(await one.verdict(77, Buffer.alloc(70_000))).toBe(REP.tooBig);
    expect(await one.names()).toContain('v1');
  });

  it('acknowledges an abort and ends', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(OPT.abort)).toBe(REP.ack);
    expect(await isClosed(one)).toBe(true);
  });

  it('says of TLS that it is not set up', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(OPT.startTls)).toBe(REP.policy);
    expect(await one.go('v1')).toMatchObject({ sizeBytes: SIZE });
  });

  it('tells nothing before TLS where that is required', async () => {
    const { client } = await server({ connection: { encryption: 'required' } });
    const one = client();
    await one.greet();
    for (const option of [OPT.list, OPT.info, OPT.go, OPT.structuredReply, OPT.setContexts, 99])
      expect(await one.verdict(option, option === OPT.list ? undefined : infoData('v1'))).toBe(REP.tlsRequired);
    one.send(optionBytes(OPT.exportName, Buffer.from('v1')));
    expect((await one.rest()).length).toBe(0);
  });

  it('ends when bytes in the clear follow the wish for TLS', async () => {
    const { client } = await server({
      connection: {
        encryption: 'offered',
        encrypt: () => {
          throw new Error('was encrypted');
        },
      },
    });
    const one = client();
    await one.greet();
    one.send(optionBytes(OPT.startTls), optionBytes(OPT.list));
    expect((await one.rest()).length).toBe(0);
  });

  it('ends after five thousand options', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    one.send(...Array.from({ length: 5001 }, () => optionBytes(99)));
    expect(await isClosed(one)).toBe(true);
  });

  it('ends after its time, also while TLS begins', async () => {
    const never = new Promise<never>(() => {});
    const { served } = await server({
      connection: {
        handshakeMs: 20,
        encryption: 'required',
        encrypt: (socket) => Promise.race([never, new Promise<never>((_, fail) => socket.once('close', fail))]),
      },
    });
    const { client, ended } = served.connect();
    await client.greet();
    expect(await client.verdict(OPT.startTls)).toBe(REP.ack);
    await ended;
    expect(await isClosed(client)).toBe(true);
  });

  it('ends after its time', async () => {
    const { served } = await server({ connection: { handshakeMs: 20 } });
    const { client, ended } = served.connect();
    await client.greet();
    client.send(optionBytes(OPT.list).subarray(0, 5));
    await ended;
    expect(await isClosed(client)).toBe(true);
  });
});

describe('exports', () => {
  it.each([
    '../x',
    '/etc/passwd',
    '3',
    '-1',
    '1+scratch+scratch',
    '+scratch',
    'x'.repeat(4096),
    '1\n',
    ' 1',
    '1~5',
    '%31',
  ])('do not have the name %j', async (name) => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(OPT.info, infoData(name))).toBe(REP.unknown);
    expect(await one.verdict(OPT.go, infoData(name))).toBe(REP.unknown);
    one.send(optionBytes(OPT.exportName, Buffer.from(name)));
    expect((await one.rest()).length).toBe(0);
  });

  it.each([
    ['with a zero', Buffer.from('v1\0')],
    ['that is no text', Buffer.from([0x76, 0xff])],
    ['that is too long', Buffer.alloc(4097, 'x')],
  ])('have no name %s', async (_what, name) => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(OPT.info, infoData(name))).toBe(REP.invalid);
    expect(await one.verdict(OPT.go, infoData(name))).toBe(REP.invalid);
    one.send(optionBytes(OPT.exportName, name));
    expect((await one.rest()).length).toBe(0);
  });

  it('are told of with what was asked for, and always with size and flags', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    const kinds = async (items: readonly number[]): Promise<number[]> =>
      (await one.option(OPT.info, infoData('v1', items))).slice(0, -1).map(({ data }) => data.readUInt16BE(0));
    expect(await kinds([])).toContain(0);
    expect((await kinds([1, 2, 3, 99])).sort()).toEqual([0, 1, 2, 3]);
  });

  it('offer whole answers only where chunks were agreed on', async () => {
    const { client } = await server();
    const simple = await client().open('v1', { structured: false });
    expect(simple.flags & FLAGS.dontFragment).toBe(0);
    const structured = await client().open('v1');
    expect(structured.flags & FLAGS.dontFragment).toBe(FLAGS.dontFragment);
  });

  it('of versions are for reading, by many', async () => {
    const { client } = await server();
    const { flags } = await client().open('1');
    expect(flags & (FLAGS.readOnly | FLAGS.multiConn)).toBe(FLAGS.readOnly | FLAGS.multiConn);
  });

  it('let one write at a time, and the next one when it has left', async () => {
    const { client } = await server();
    const [first, second, third] = [client(), client(), client()];
    expect((await first.open('')).flags & FLAGS.readOnly).toBe(0);
    expect((await second.open('')).flags & FLAGS.readOnly).toBe(FLAGS.readOnly);
    const { error } = await second.request({ command: CMD.write, offset: 0, data: Buffer.alloc(512) });
    expect(error).toBe(ERRNO.EPERM);
    await first.write(0, noise(65_536, 9));
    // Whoever comes as soon as the writer has said goodbye waits for what it wrote, and is the writer then.
    first.send(requestBytes(0n, { command: CMD.disconnect }));
    expect((await third.open('')).flags & FLAGS.readOnly).toBe(0);
    await third.write(0, Buffer.alloc(4096));
  });
});

describe('contexts', () => {
  it('need chunks, and count for one export', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    expect(await one.verdict(OPT.setContexts, contextData('1', ['base:allocation']))).toBe(REP.invalid);
    await one.chooseStructured();
    expect(await one.verdict(OPT.setContexts, contextData('1', ['base:allocation']))).toBe(REP.ack);
    await one.go('2');
    expect(await one.request({ command: CMD.status, offset: 0, length: 4096 })).toMatchObject({ error: ERRNO.EINVAL });
  });

  it('that nobody knows are left out', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    await one.chooseStructured();
    const replies = await one.option(OPT.setContexts, contextData('1', ['x:y', 'vsimg:changed-since:99', 'base:']));
    expect(replies.map(({ type }) => type)).toEqual([REP.ack]);
  });

  it('are listed by their beginning', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    const list = async (queries: readonly string[]): Promise<string[]> =>
      (await one.option(OPT.listContexts, contextData('2', queries)))
        .filter(({ type }) => type === REP.context)
        .map(({ data }) => data.subarray(4).toString());
    expect(await list(['base:'])).toEqual(['base:allocation']);
    expect(await list(['vsimg:changed-since:'])).toContain('vsimg:changed-since:v1');
    expect(await list(['qemu:dirty-bitmap:1', 'no:thing'])).toEqual(['qemu:dirty-bitmap:1']);
    expect(await list([])).toContain('base:allocation');
  });

  it('are refused in numbers that no client needs', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    await one.chooseStructured();
    const queries = Array.from({ length: 2000 }, (_, index) => `vsimg:changed-since:${index}`);
    for (const option of [OPT.listContexts, OPT.setContexts])
      expect(await one.verdict(option, contextData('2', queries))).toBe(REP.tooBig);
    // What was chosen before does not count any more.
    await one.go('2');
    expect(await one.request({ command: CMD.status, offset: 0, length: 4096 })).toMatchObject({ error: ERRNO.EINVAL });
  });

  it('must be told as they are: lengths that lead nowhere are refused', async () => {
    const { client } = await server();
    const one = client();
    await one.greet();
    const good = contextData('1', ['base:allocation']);
    for (const data of [
      good.subarray(0, 7),
      Buffer.concat([good, Buffer.alloc(1)]),
      Buffer.concat([u32(2 ** 32 - 1), good]),
    ])
      expect(await one.verdict(OPT.listContexts, data)).toBe(REP.invalid);
  });

  it('tell what is a hole and what was changed', async () => {
    const { client } = await server();
    const one = client();
    await one.open('2', { contexts: ['base:allocation', 'vsimg:changed-since:1'] });
    const { status } = await one.request({ command: CMD.status, offset: 0, length: SIZE });
    expect(status.get(1)).toEqual([
      [65_536, 0],
      [SIZE - 65_536, 3],
    ]);
    expect(status.get(2)).toEqual([
      [8192, 0],
      [4096, 1],
      [SIZE - 12_288, 0],
    ]);
    const only = await one.request({ command: CMD.status, flags: FLAG.requestOne, offset: 512, length: 100_000 });
    expect([...only.status.values()]).toEqual([[[65_024, 0]], [[7680, 0]]]);
  });
});
