import { VsimgError } from '../errors.ts';
import { isRoomy, MAX_AMENDED_BYTES, type VersionRecord } from '../format/version-record.ts';
import type { NumberedVersion } from '../versions/version-table.ts';
import type { AmendOptions } from './api.ts';
import { checkMessage, refuseTaken } from './commit.ts';
import type { Container } from './container.ts';

/** How to give a version another message and more tags, or undefined where it has that message already and no tag is to be added. */
export function planAmendment(container: Container, number: number, options: AmendOptions): (() => void) | undefined {
  const tags = [...new Set(options.tags)];
  for (const tag of tags) refuseTaken(container, tag);
  const old = container.versions.need(number);
  const amended = options.message === undefined ? old : withMessage(old, options.message);
  if (amended === old && tags.length === 0) return undefined;
  return () => {
    if (amended !== old) container.versions.put(number, amended);
    for (const name of tags) container.refs.set({ name, kind: 'tag', version: number });
  };
}

/** The first message stays in the record, because the id is over it. */
function withMessage(old: NumberedVersion, message: string): VersionRecord {
  if (message === (old.amended ?? old.message)) return old;
  const { amended: _, ...first } = old;
  if (message === old.message) return first;
  checkMessage(message, MAX_AMENDED_BYTES);
  const amended = { ...first, amended: message };
  refuseCrowded(old.number, amended);
  return amended;
}

/** Errors: 'refused' where fields of other programs leave a record too little room. */
export function refuseCrowded(number: number, record: VersionRecord): void {
  if (isRoomy(record)) return;
  throw new VsimgError('refused', `the record of version ${number} is full of fields that other programs put there`, {
    hint: 'give a tag instead',
  });
}
