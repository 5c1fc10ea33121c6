import { expect, it } from 'vitest';
import type { Disk } from '../../src/image/disk.ts';
import { Input } from '../../src/nbd/input.ts';
import { Transmission, type Wire } from '../../src/nbd/transmission.ts';
import { CHUNK, CMD, NBD } from '../support/nbd-client.ts';

const KIB = 1024;
const SIZE_BYTES = 1024 * KIB;
const READ_BYTES = 128 * KIB;

/** Every second 32 KiB are zeros; the others hold the number of their block. */
const disk: Disk = {
  sizeBytes: SIZE_BYTES,
  writing: undefined,
  read: (offset, into) => {
    for (let at = 0; at < into.length; at++) {
      const unit = Math.floor((offset + at) / (32 * KIB));
      into[at] = unit % 2 === 0 ? unit + 1 : 0;
    }
  },
  prepare: () => Promise.resolve(),
  runs: () => [],
  changesSince: () => [],
  settle: async () => {},
};

function readRequest(cookie: number, offset: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(NBD.request, 0);
  bytes.writeUInt16BE(CMD.read, 6);
  bytes.writeBigUInt64BE(BigInt(cookie), 8);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(READ_BYTES, 24);
  return bytes;
}

const OFFSETS = [0, 1, 2, 3, 4, 5].map((index) => index * READ_BYTES);

/** Answers a read of each offset, all asked for at once, to a client that takes its time for each part of an answer. */
async function answer(of: Disk, taken: () => Promise<void>): Promise<Buffer> {
  const input = new Input(SIZE_BYTES);
  for (const [cookie, offset] of OFFSETS.entries()) input.push(readRequest(cookie, offset));
  const sent: Uint8Array[] = [];
  const wire: Wire = {
    input,
    isOver: false,
    more: async () => false,
    send: (bytes) => {
      sent.push(Uint8Array.from(bytes));
      return taken();
    },
  };
  const opened = { disk: of, flags: 0, close: async () => {} };
  const agreement = { opened, sizeBytes: SIZE_BYTES, structured: true, contexts: [] };
  const going = new Transmission(wire, { agreement, blockBytes: 4096, onError: () => expect.unreachable() }).run();
  await Promise.race([going, new Promise((resolve) => setTimeout(resolve, 500))]);
  return Buffer.concat(sent);
}

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('answers no more than one read to a client that takes nothing', async () => {
  expect((await answer(disk, () => new Promise(() => {}))).length).toBeLessThan(READ_BYTES);
});

it.each<readonly [string, Disk]>([
  ['several reads are answered at once', disk],
  ['nothing can be prepared', { ...disk, prepare: () => expect.unreachable() }],
])('keeps the head of each chunk and its data together when %s', async (_when, of) => {
  const all = await answer(of, soon);
  const answers = OFFSETS.map(() => Buffer.alloc(READ_BYTES, 0xff));
  for (let at = 0; at < all.length; ) {
    expect(all.readUInt32BE(at)).toBe(NBD.structured);
    const [type, cookie, length] = [
      all.readUInt16BE(at + 6),
      Number(all.readBigUInt64BE(at + 8)),
      all.readUInt32BE(at + 16),
    ];
    const payload = all.subarray(at + 20, at + 20 + length);
    const start = Number(payload.readBigUInt64BE(0)) - (OFFSETS[cookie] ?? 0);
    if (type === CHUNK.hole) answers[cookie]?.fill(0, start, start + payload.readUInt32BE(8));
    else answers[cookie]?.set(payload.subarray(8), start);
    at += 20 + length;
  }
  for (const [cookie, offset] of OFFSETS.entries()) {
    const expected = new Uint8Array(READ_BYTES);
    disk.read(offset, expected);
    expect(answers[cookie]?.equals(expected)).toBe(true);
  }
});
