import fs from 'node:fs';
import { platform } from 'node:process';
import { closeQuietly, type Descriptor } from './descriptor.ts';
import { deviceSizeBytes } from './device-size.ts';
import { systemError } from './system-error.ts';

export interface OpenDevice {
  readonly device: Descriptor;
  readonly sizeBytes: number;
}

/**
 * Opens a block device, whose `st_rdev` is `deviceNumber`, to be written by nobody else.
 * Errors: 'locked' for a device in use, 'not-found', 'permission', 'io'.
 */
export function openDevice(path: string, deviceNumber: number): OpenDevice {
  // On Linux O_EXCL alone asks that no file system is mounted from the device and nobody else claims it.
  const exclusive = platform === 'linux' ? fs.constants.O_EXCL : 0;
  let fd: number;
  try {
    fd = fs.openSync(path, fs.constants.O_RDWR | exclusive);
  } catch (cause) {
    throw systemError(`cannot open '${path}'`, cause, { path });
  }
  try {
    const device = { fd, name: path };
    return { device, sizeBytes: deviceSizeBytes(device, deviceNumber) };
  } catch (cause) {
    closeQuietly(fd);
    throw systemError(`cannot open '${path}'`, cause, { path });
  }
}
