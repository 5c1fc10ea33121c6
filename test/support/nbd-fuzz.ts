import type { Duplex } from 'node:stream';
import { VsimgError } from '../../src/errors.ts';
import type { Image } from '../../src/image/image.ts';
import { CMD, contextData, FLAG, infoData, type NbdClient, OPT, optionBytes, requestBytes, u32 } from './nbd-client.ts';
import { MemoryServer } from './nbd-server.ts';
import type { SeededRandom } from './random.ts';

export interface FuzzedImage {
  readonly image: Image;
  /** Of version 1, which no session can change. */
  readonly content: Buffer;
}

export interface FuzzReport {
  readonly sessions: number;
  readonly wrong: readonly string[];
}

/** A session that does not end by itself after this has hung. */
const SESSION_MS = 10_000;
const NAMES = ['', '1', '2', 'v1', '1+scratch', 'v1+scratch', '9', '../x', 'v1\0'];
const ODD_NUMBERS = [0, 1, 2, 27, 255, 4096, 65_536, 2 ** 20, 2 ** 25, 2 ** 31, 2 ** 32 - 1];

/** A session as a client could have it, in the messages that it consists of. */
function session(random: SeededRandom, sizeBytes: number): Buffer[] {
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  const name = random.below(3) === 0 ? pick(NAMES) : pick(['', '1', '1+scratch']);
  const messages = [u32(pick([3, 3, 3, 1, 2, 0]))];
  for (let count = random.below(4); count > 0; count--)
    messages.push(
      pick([
        optionBytes(OPT.structuredReply),
        optionBytes(OPT.list),
        optionBytes(OPT.info, infoData(name, [random.below(5)])),
        optionBytes(OPT.listContexts, contextData(name, pick([[], ['base:'], ['vsimg:changed-since:1']]))),
        Buffer.concat([
          optionBytes(OPT.structuredReply),
          optionBytes(OPT.setContexts, contextData(name, ['base:allocation', 'qemu:dirty-bitmap:1'])),
        ]),
        optionBytes(OPT.startTls),
        optionBytes(random.below(20)),
      ]),
    );
  messages.push(
    random.below(4) === 0 ? optionBytes(OPT.exportName, Buffer.from(name)) : optionBytes(OPT.go, infoData(name)),
  );
  for (let count = random.below(12); count > 0; count--) {
    const command = random.below(9);
    const offset = random.below(sizeBytes);
    const length = random.below(8) === 0 ? pick(ODD_NUMBERS) : random.below(sizeBytes - offset);
    const flags = random.below(3) === 0 ? random.below(32) : 0;
    const data = command === CMD.write ? { data: random.bytes(Math.min(length, 9000)) } : { length };
    messages.push(requestBytes(BigInt(count), { command, flags, offset, ...data }));
  }
  messages.push(requestBytes(99n, { command: CMD.disconnect }));
  return messages;
}

/** Bytes as an enemy sends them: messages left out, twice, in another order, with other bits and lengths, cut short. */
function mutated(messages: readonly Buffer[], random: SeededRandom): Buffer {
  const changed = [...messages];
  for (let count = random.below(3); count > 0; count--) {
    const at = random.below(changed.length);
    const kind = random.below(4);
    if (kind === 0) changed.splice(at, 1);
    if (kind === 1) changed.splice(at, 0, changed[random.below(changed.length)] ?? Buffer.alloc(0));
    if (kind === 2) changed.splice(at, 0, Buffer.from(random.bytes(random.below(40))));
    if (kind === 3 && changed.length > 1) changed.push(...changed.splice(at, 1));
  }
  const bytes = Buffer.concat(changed);
  for (let count = random.below(4); count > 0 && bytes.length > 4; count--) {
    const at = random.below(bytes.length - 4);
    if (random.below(2) === 0) bytes[at] = random.below(256);
    else bytes.writeUInt32BE(ODD_NUMBERS[random.below(ODD_NUMBERS.length)] ?? 0, at);
  }
  return random.below(4) === 0 ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
}

/** Sends `bytes` in pieces; takes what comes, or leaves. */
async function play(socket: Duplex, bytes: Buffer, random: SeededRandom): Promise<void> {
  if (random.below(8) === 0) socket.pause();
  else socket.resume();
  for (let at = 0; at < bytes.length && !socket.destroyed; ) {
    const length = random.below(3) === 0 ? 1 + random.below(30) : bytes.length;
    socket.write(bytes.subarray(at, at + length));
    at += length;
    if (random.below(3) === 0) await new Promise(setImmediate);
  }
  if (random.below(3) === 0) socket.destroy();
  else socket.end();
}

/**
 * Sessions of enemies, several at a time, on one image: each must end, none may make the server fail, and whoever behaves
 * reads what version 1 and a scratch disk of its own hold.
 */
export async function fuzzServer(
  { image, content }: FuzzedImage,
  { sessions, random }: { readonly sessions: number; readonly random: SeededRandom },
): Promise<FuzzReport> {
  const server = new MemoryServer(image);
  const wrong: string[] = [];
  const enemy = async (number: number): Promise<void> => {
    const bytes = mutated(session(random, content.length), random);
    const { socket, ended } = server.connect();
    await play(socket, bytes, random);
    // Whoever takes nothing is waited for; that ends when it is gone.
    if (socket.isPaused()) setImmediate(() => socket.destroy());
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), SESSION_MS);
    });
    if ((await Promise.race([ended, late])) === 'late') wrong.push(`session ${number} hangs: ${bytes.toString('hex')}`);
    clearTimeout(timer);
    for (const error of server.errors.splice(0))
      if (!(error instanceof VsimgError)) wrong.push(`session ${number}: ${String(error)}: ${bytes.toString('hex')}`);
  };
  const friends = [server.connect().client, server.connect().client] as const;
  const friend = await behaved(friends, content);
  for (let number = 0; number < sessions && wrong.length < 20; number += 8) {
    await Promise.all(Array.from({ length: 8 }, (_, index) => enemy(number + index)));
    await friend(random).catch((error: unknown) => wrong.push(`beside session ${number}: ${String(error)}`));
  }
  for (const { socket } of friends) socket.destroy();
  await server.idle().catch((error: unknown) => wrong.push(String(error)));
  return { sessions, wrong };
}

/** A client that reads a version, and one that reads and writes a scratch disk and compares both with what they must hold. */
async function behaved(
  [reader, writer]: readonly [NbdClient, NbdClient],
  content: Buffer,
): Promise<(random: SeededRandom) => Promise<void>> {
  await reader.open('1');
  await writer.open('1+scratch');
  const model = Buffer.from(content);
  const compare = async (client: NbdClient, bytes: Buffer, random: SeededRandom, what: string): Promise<void> => {
    const start = random.below(bytes.length);
    const end = start + random.below(Math.min(20_000, bytes.length - start));
    if (!(await client.read(start, end - start)).equals(bytes.subarray(start, end)))
      throw new Error(`${what} reads wrong from ${start} to ${end}`);
  };
  return async (random) => {
    const offset = random.below(content.length - 5000);
    const data = random.bytes(random.below(5000));
    const flags = random.below(2) * FLAG.fua;
    await writer.write(offset, data, flags);
    model.set(data, offset);
    await compare(reader, content, random, 'version 1');
    await compare(writer, model, random, 'a scratch disk');
    for (const { violation } of [reader, writer]) if (violation !== undefined) throw violation;
  };
}
