import { damageAll } from './damage/all.ts';
import { damageSubjects } from './damage/subjects.ts';
import type { RunPart } from './part.ts';

/** Containers that are damaged after they were written well. */
export const run: RunPart = async (options) => damageAll(await damageSubjects({ few: options.scale < 0.01 }), options);
