import { Duplex } from 'node:stream';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Connection } from '../../src/nbd/connection.ts';
import type { Exports } from '../../src/nbd/exports.ts';

const nothing: Exports = { list: () => [], find: () => undefined };

it('waits for nothing more of a client whose connection broke', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  const options = { exports: nothing, encryption: 'none', blockBytes: 4096, handshakeMs: 1000 } as const;
  const going = new Connection(socket, { ...options, onError: () => expect.unreachable() }).run();
  socket.destroy(new Error('ECONNRESET'));
  await going;
  expect(vi.getTimerCount()).toBe(0);
});
