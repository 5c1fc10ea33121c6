import { VsimgError } from '../errors.ts';
import { MAGIC } from '../format/layout.ts';
import type { DataSource, Piece } from '../storage/transfer.ts';

interface Format {
  readonly name: string;
  readonly offset: number;
  readonly magic: Uint8Array;
}

function format(name: string, magic: string | Uint8Array, offset = 0): Format {
  return { name, offset, magic: typeof magic === 'string' ? Buffer.from(magic, 'latin1') : magic };
}

const CONTAINER = 'an image of vsimg';

/** What tells files apart in which the disk is something else than the bytes of the file. */
const FORMATS: readonly Format[] = [
  format(CONTAINER, MAGIC),
  format('a qcow2 image', 'QFI\xfb\0\0\0\x02'),
  format('a qcow2 image', 'QFI\xfb\0\0\0\x03'),
  format('a qcow image', 'QFI\xfb\0\0\0\x01'),
  format('a qed image', 'QED\0'),
  format('a vmdk image', 'KDMV'),
  format('a vmdk image', 'COWD'),
  format('the description of a vmdk image', '# Disk DescriptorFile'),
  format('a vhdx image', 'vhdxfile'),
  format('a vhd image', 'conectix'),
  format('a vdi image', '\x7f\x10\xda\xbe', 0x40),
];

/** What a file is looked at before it is read. */
const PEEK_BYTES = 512;

/**
 * `source`, which must be a raw image. Of a stream that is only known when its first bytes are read. `name` is for messages.
 * Errors: 'refused' for bytes that another format begins with.
 */
export async function rawSource(source: DataSource, name: string): Promise<DataSource> {
  const { file, sizeBytes = 0 } = source;
  if (file === undefined) return { ...source, pieces: (maxPieceBytes) => rawPieces(source, maxPieceBytes, name) };
  for await (const piece of file.pieces(PEEK_BYTES, { start: 0, end: Math.min(PEEK_BYTES, sizeBytes) })) {
    refuseForeign(piece, name);
    break;
  }
  return source;
}

async function* rawPieces(source: DataSource, maxPieceBytes: number, name: string): AsyncGenerator<Piece> {
  for await (const piece of source.pieces(maxPieceBytes)) {
    refuseForeign(piece, name);
    yield piece;
  }
}

function refuseForeign(piece: Piece, name: string): void {
  if (piece.kind === 'hole' || piece.start > 0) return;
  const found = FORMATS.find(({ magic, offset }) => magic.every((byte, index) => piece.bytes[offset + index] === byte));
  if (found === undefined) return;
  const command = found.name === CONTAINER ? 'vsimg export' : 'qemu-img convert -O raw';
  throw new VsimgError('refused', `${name} is ${found.name}, not a raw one`, {
    hint: `make it raw with '${command}', or give --force-raw to import the bytes as they are`,
  });
}
