import fs from 'node:fs';
import { type Descriptor, readAt } from './descriptor.ts';

/** The unit of /sys/dev/block/.../size, whatever the device's own block size; see sysfs-block(5) of Linux. */
const SYSFS_SECTOR_BYTES = 512;

/**
 * Length in bytes of an open block device, for which fstat(2) says 0. `deviceNumber` is `st_rdev`.
 * Errors: 'io', 'permission'.
 */
export function deviceSizeBytes(device: Descriptor, deviceNumber: number): number {
  return sizeFromSysfs(deviceNumber) ?? sizeByReading(device);
}

function sizeFromSysfs(deviceNumber: number): number | undefined {
  // Linux splits st_rdev as glibc's gnu_dev_major and gnu_dev_minor do; only the low 32 bits are used in practice.
  const major = (deviceNumber >>> 8) & 0xfff;
  const minor = (deviceNumber & 0xff) | ((deviceNumber >>> 12) & 0xfff00);
  try {
    const text = fs.readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'latin1').trim();
    return /^\d+$/.test(text) ? Number(text) * SYSFS_SECTOR_BYTES : undefined;
  } catch {
    return undefined; // Not Linux, or a container without /sys.
  }
}

/** Reading works everywhere: a byte behind the end is never there. About a hundred reads of one byte. */
function sizeByReading(device: Descriptor): number {
  const probe = new Uint8Array(1);
  const exists = (position: number): boolean => readAt(device, probe, position) === 1;
  let inside = 0;
  let outside = 1;
  while (outside < Number.MAX_SAFE_INTEGER && exists(outside - 1)) {
    inside = outside;
    outside = Math.min(outside * 2, Number.MAX_SAFE_INTEGER);
  }
  while (outside - inside > 1) {
    const middle = inside + Math.floor((outside - inside) / 2);
    if (exists(middle - 1)) inside = middle;
    else outside = middle;
  }
  return inside;
}
