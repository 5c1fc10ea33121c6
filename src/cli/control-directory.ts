import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ControlDirectory } from '../control/place.ts';
import type { Io } from './io.ts';

/** In the user's runtime directory, or in one of his own among the temporary files, as tmux and others have it. */
export function controlDirectory({ env }: Pick<Io, 'env'>): ControlDirectory {
  const userId = process.getuid?.();
  const runtime = env.XDG_RUNTIME_DIR;
  return { path: runtime ? join(runtime, 'vsimg') : join(tmpdir(), `vsimg-${userId ?? 'user'}`), userId };
}
