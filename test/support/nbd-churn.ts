import { connect, type Socket } from 'node:net';
import { infoData, OPT, optionBytes, requestBytes, u32 } from './nbd-client.ts';
import { SeededRandom } from './random.ts';

/** What a client says from its first byte to its goodbye. */
const SESSION = Buffer.concat([
  u32(3),
  optionBytes(OPT.list),
  optionBytes(OPT.structuredReply),
  optionBytes(OPT.go, infoData('1+scratch')),
  requestBytes(1n, { command: 1, data: Buffer.alloc(4096, 1) }),
  requestBytes(2n, { command: 0, length: 4096 }),
  requestBytes(3n, { command: 2 }),
]);

/** Connects over and over, a few at a time, says a part of a session or nonsense, and leaves in one way or another. */
export async function churn(
  path: string,
  { connects, seed, atOnce = 40 }: { readonly connects: number; readonly seed: number; readonly atOnce?: number },
): Promise<void> {
  const random = new SeededRandom(seed);
  let left = connects;
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const socket = connect({ path });
      const said = random.below(10) === 0 ? random.bytes(200) : SESSION.subarray(0, random.below(SESSION.length + 1));
      await once(socket, said, random.below(3));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

/** `way` 0: a reset; 1: a half-close; 2: waits for the server's first word and resets. */
function once(socket: Socket, said: Uint8Array, way: number): Promise<void> {
  return new Promise((resolve) => {
    socket.on('close', () => resolve());
    socket.on('error', () => socket.destroy());
    socket.on('connect', () => {
      if (way !== 2) socket.resume();
      socket.write(said, () => {
        if (way === 0) socket.destroy();
        if (way === 1) socket.end();
      });
    });
    if (way === 2) socket.once('data', () => socket.destroy());
  });
}
