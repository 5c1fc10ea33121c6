import { commit, newImage, noise } from './image.ts';
import type { NbdClient } from './nbd-client.ts';
import { MemoryServer, type MemoryServerOptions } from './nbd-server.ts';

/** Of the disk of `server`. */
export const SIZE = 1024 * 1024;

/** Versions 1 and 2, which differ in one block, and a tag for version 1. */
export async function server(options: MemoryServerOptions = {}) {
  const { image } = newImage({ sizeBytes: SIZE });
  await image.write(0, noise(65_536, 1));
  await commit(image, 'one', { tag: 'v1' });
  await image.write(8192, noise(4096, 2));
  await commit(image, 'two');
  const served = new MemoryServer(image, options);
  return { image, served, client: () => served.connect().client };
}

export async function isClosed(client: NbdClient): Promise<boolean> {
  await client.rest();
  return client.isOver;
}
