import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Serving } from './serving.ts';

const SECTOR_BYTES = 512;
const DISK_BYTES = 8 * 1024 * 1024;
/** Where its text is; what it writes follows behind it. */
const TEXT_SECTOR = 100;

/**
 * The smallest guest that is one: the boot sector of a disk for the BIOS. It reads its text from a later sector and prints it
 * over the serial port. Then it writes one sector after the other, as many as the last two bytes of the text's sector say,
 * with a dot for each 16 that are done, and ends when all are written or somebody sends it a byte: with '$', or '!' after an
 * error of the disk.
 */
const PROGRAM = `
  7c00:  fa              cli
  7c01:  31 c0           xor ax,ax
  7c03:  8e d8           mov ds,ax
  7c05:  8e c0           mov es,ax
  7c07:  8e d0           mov ss,ax
  7c09:  bc 00 7c        mov sp,0x7c00
  7c0c:  fc              cld
  7c0d:  ea 12 7c 00 00  jmp 0x0:0x7c12
  7c12:  88 16 91 7c     mov ds:0x7c91,dl             ; keep the number of the drive
  7c16:  be 92 7c        mov si,0x7c92                ; read the text to 8000
  7c19:  b4 42           mov ah,0x42
  7c1b:  cd 13           int 0x13
  7c1d:  72 53           jb 0x7c72
  7c1f:  be 00 80        mov si,0x8000
  7c22:  ac              lods al,ds:[si]              ; print it up to a zero
  7c23:  84 c0           test al,al
  7c25:  74 05           je 0x7c2c
  7c27:  e8 54 00        call 0x7c7e
  7c2a:  eb f6           jmp 0x7c22
  7c2c:  a1 8f 7c        mov ax,ds:0x7c8f             ; as many sectors as 81fe says
  7c2f:  3b 06 fe 81     cmp ax,ds:0x81fe
  7c33:  74 39           je 0x7c6e
  7c35:  40              inc ax
  7c36:  a3 8f 7c        mov ds:0x7c8f,ax
  7c39:  bf 00 82        mov di,0x8200                ; fill a sector at 8200 with the count
  7c3c:  b9 00 01        mov cx,0x100
  7c3f:  f3 ab           rep stos es:[di],ax
  7c41:  83 c0 64        add ax,0x64                  ; write it behind the text
  7c44:  a3 9a 7c        mov ds:0x7c9a,ax
  7c47:  c6 06 97 7c 82  mov ds:0x7c97,0x82
  7c4c:  be 92 7c        mov si,0x7c92
  7c4f:  8a 16 91 7c     mov dl,ds:0x7c91
  7c53:  b8 00 43        mov ax,0x4300
  7c56:  cd 13           int 0x13
  7c58:  72 18           jb 0x7c72
  7c5a:  f6 06 8f 7c 0f  test ds:0x7c8f,0xf           ; a dot for each 16
  7c5f:  75 05           jne 0x7c66
  7c61:  b0 2e           mov al,0x2e
  7c63:  e8 18 00        call 0x7c7e
  7c66:  ba fd 03        mov dx,0x3fd                 ; did a byte come?
  7c69:  ec              in al,dx
  7c6a:  a8 01           test al,0x1
  7c6c:  74 be           je 0x7c2c
  7c6e:  b0 24           mov al,0x24                  ; $, or ! after an error
  7c70:  eb 02           jmp 0x7c74
  7c72:  b0 21           mov al,0x21
  7c74:  e8 07 00        call 0x7c7e
  7c77:  b0 00           mov al,0x0                   ; end the machine
  7c79:  e6 f4           out 0xf4,al
  7c7b:  f4              hlt
  7c7c:  eb fd           jmp 0x7c7b
  7c7e:  88 c3           mov bl,al                    ; print al when the port is ready
  7c80:  ba fd 03        mov dx,0x3fd
  7c83:  ec              in al,dx
  7c84:  a8 20           test al,0x20
  7c86:  74 fb           je 0x7c83
  7c88:  ba f8 03        mov dx,0x3f8
  7c8b:  88 d8           mov al,bl
  7c8d:  ee              out dx,al
  7c8e:  c3              ret
  7c8f:  00 00           the count
  7c91:  00              the drive
  7c92:  10 00 01 00     16 bytes: a request for one sector
  7c96:  00 80 00 00     into 8000, when it writes from 8200
  7c9a:  64 00 00 00 00 00 00 00
`;

export interface GuestDisk {
  /** At most 500 bytes. */
  readonly text: string;
  /** Sectors that it writes; by default none. */
  readonly writeCount?: number;
}

/** A disk that boots. */
export function guestDisk({ text, writeCount = 0 }: GuestDisk): Buffer {
  const disk = Buffer.alloc(DISK_BYTES);
  for (const [, address, hex] of PROGRAM.matchAll(/^ {2}(7c..): {2}((?:[0-9a-f]{2}(?: |$))+)/gm))
    disk.set(Buffer.from(String(hex).replaceAll(' ', ''), 'hex'), Number.parseInt(String(address), 16) - 0x7c00);
  disk.writeUInt16LE(0xaa55, SECTOR_BYTES - 2);
  disk.write(text, TEXT_SECTOR * SECTOR_BYTES);
  disk.writeUInt16LE(writeCount, (TEXT_SECTOR + 1) * SECTOR_BYTES - 2);
  return disk;
}

/** What the disk holds when the guest has written that many sectors. */
export function writtenDisk(disk: Buffer, writeCount: number): Buffer {
  const written = Buffer.from(disk);
  for (let count = 1; count <= writeCount; count++) {
    const start = (TEXT_SECTOR + count) * SECTOR_BYTES;
    for (let at = start; at < start + SECTOR_BYTES; at += 2) written.writeUInt16LE(count, at);
  }
  return written;
}

/** Sectors that the guest wrote, up to the first that it did not. */
export function countWritten(disk: Buffer): number {
  for (let count = 0; ; count++)
    if (disk.readUInt16LE((TEXT_SECTOR + count + 1) * SECTOR_BYTES) !== count + 1) return count;
}

/** A machine that runs a guest. */
export interface Machine {
  /** All that it printed so far. */
  readonly console: () => string;
  /** Resolves when it has printed that. Errors: if it ends before. */
  readonly printed: (text: string | RegExp) => Promise<void>;
  /** Sends it a byte. */
  readonly tell: () => void;
  /** Resolves to all that it printed. */
  readonly ended: Promise<string>;
}

/** Boots an export; `options` are of qemu's -drive. */
export function boot(server: Serving, name: string, options: readonly string[] = ['if=ide']): Machine {
  const drive = [`file=${server.uri(name)}`, 'format=raw', ...options].join(',');
  const debugExit = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=1'];
  const machine = ['-display', 'none', '-nodefaults', '-no-reboot', '-m', '16', '-accel', 'tcg', '-serial', 'stdio'];
  const child = spawn('qemu-system-x86_64', [...machine, ...debugExit, '-drive', drive]);
  let console = '';
  let stderr = '';
  child.stdout.on('data', (bytes) => {
    console += String(bytes);
  });
  child.stderr.on('data', (bytes) => {
    stderr += String(bytes);
  });
  const ended = once(child, 'close').then(([status]) => {
    // The device tells zero as one.
    if (status !== 1) throw new Error(`qemu: status ${status}: ${stderr}${console}`);
    return console;
  });
  ended.catch(() => undefined);
  const printed = async (text: string | RegExp): Promise<void> => {
    const isThere = () => (typeof text === 'string' ? console.includes(text) : text.test(console));
    while (!isThere()) {
      if (child.exitCode !== null) throw new Error(`the guest ended: ${await ended}`);
      await Promise.race([once(child.stdout, 'data'), ended]);
    }
  };
  return { console: () => console, printed, tell: () => child.stdin.write('x'), ended };
}
