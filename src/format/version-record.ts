import { corrupt } from '../errors.ts';
import { Fields, withRest } from './fields.ts';
import { type Document, decodeDocument, encodeDocument } from './msgpack.ts';
import { rootToValue, type TreeRoot } from './page.ts';

export const VERSION_ID_BYTES = 16;
export const MAX_MESSAGE_BYTES = 32 * 1024;
/**
 * Of all optional fields and those of other programs. With the longest message a record stays well below the longest page,
 * whatever becomes of its map; and programs that do not know the optional ones allow no more.
 */
export const MAX_UNKNOWN_BYTES = 16 * 1024;
/** Leaves room for a lock and for what other programs may want to say. */
export const MAX_AMENDED_BYTES = 15 * 1024;

/** Value of the version table for a version number; msgpack with one-letter keys, because there may be many. */
export interface VersionRecord {
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** Number and id of the version it was made from; the number may be of one that is gone. */
  readonly parent: number | null;
  readonly sizeBytes: number;
  readonly timeSeconds: number;
  /** The first one, which the id was made over. */
  readonly message: string;
  readonly map: TreeRoot;
  /** The message that was given to it later. */
  readonly amended?: string;
  /** It must not be removed. */
  readonly locked?: true;
  /** Fields that this program does not know: whoever writes the record again keeps them. */
  readonly unknown?: Document;
}

export function encodeVersion(version: VersionRecord): Uint8Array {
  const known = {
    i: version.id,
    p: version.parent,
    s: version.sizeBytes,
    t: version.timeSeconds,
    m: version.message,
    r: rootToValue(version.map),
  };
  return encodeDocument(withRest({ ...known, ...optionalFields(version) }, version.unknown));
}

function optionalFields({ amended, locked }: VersionRecord): Document {
  return { ...(amended === undefined ? {} : { a: amended }), ...(locked === undefined ? {} : { l: locked }) };
}

/** Whether the record can be written: its optional fields share their room with those that this program does not know. */
export function isRoomy(version: VersionRecord): boolean {
  const optional = withRest(optionalFields(version), version.unknown);
  return Object.keys(optional).length === 0 || encodeDocument(optional).length <= MAX_UNKNOWN_BYTES;
}

export function decodeVersion(bytes: Uint8Array, number: number): VersionRecord {
  const fields = new Fields(decodeDocument(bytes, `version ${number}`), `version ${number}`);
  const parent = fields.countOrNull('p');
  // Numbers only fall on the way to the first version, so that no history goes in circles.
  if (parent !== null && parent >= number) fields.fail('p');
  const message = fields.text('m');
  if (Buffer.byteLength(message, 'utf8') > MAX_MESSAGE_BYTES) fields.fail('m');
  const record = {
    id: fields.bytes('i', VERSION_ID_BYTES),
    parent,
    sizeBytes: fields.count('s'),
    timeSeconds: fields.count('t'),
    message,
    map: fields.root('r'),
  };
  const amended = fields.optional('a', () => fields.text('a'));
  const locked = fields.optional('l', () => fields.isTrue('l'));
  const unknown = fields.rest();
  const whole = {
    ...record,
    ...(amended === undefined ? {} : { amended }),
    ...(locked === undefined ? {} : { locked }),
    ...(unknown === undefined ? {} : { unknown }),
  };
  if (!isRoomy(whole))
    throw corrupt(`version ${number}: has more than ${MAX_UNKNOWN_BYTES} bytes of optional and unknown fields`);
  return whole;
}
