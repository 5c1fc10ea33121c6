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

it('keeps the head of each chunk and its data together when several reads are answered at once', async () => {
  const input = new Input(SIZE_BYTES);
  const offsets = [0, 1, 2, 3, 4, 5].map((index) => index * READ_BYTES);
  for (const [cookie, offset] of offsets.entries()) input.push(readRequest(cookie, offset));
  const sent: Uint8Array[] = [];
  const wire: Wire = {
    input,
    isOver: false,
    more: async () => false,
    // A client that takes its time for each part of an answer.
    send: (bytes) => {
      sent.push(Uint8Array.from(bytes));
      return new Promise((resolve) => setImmediate(resolve));
    },
  };
  const opened = { disk, flags: 0, close: async () => {} };
  const agreement = { opened, sizeBytes: SIZE_BYTES, structured: true, contexts: [] };
  await new Transmission(wire, { agreement, blockBytes: 4096, onError: () => expect.unreachable() }).run();

  const all = Buffer.concat(sent);
  const answers = offsets.map(() => Buffer.alloc(READ_BYTES, 0xff));
  for (let at = 0; at < all.length; ) {
    expect(all.readUInt32BE(at)).toBe(NBD.structured);
    const [type, cookie, length] = [
      all.readUInt16BE(at + 6),
      Number(all.readBigUInt64BE(at + 8)),
      all.readUInt32BE(at + 16),
    ];
    const payload = all.subarray(at + 20, at + 20 + length);
    const start = Number(payload.readBigUInt64BE(0)) - (offsets[cookie] ?? 0);
    if (type === CHUNK.hole) answers[cookie]?.fill(0, start, start + payload.readUInt32BE(8));
    else answers[cookie]?.set(payload.subarray(8), start);
    at += 20 + length;
  }
  for (const [cookie, offset] of offsets.entries()) {
    const expected = new Uint8Array(READ_BYTES);
    disk.read(offset, expected);
    expect(answers[cookie]?.equals(expected)).toBe(true);
  }
});
