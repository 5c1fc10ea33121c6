import { execFileSync } from 'node:child_process';

/** States of one real 4 GiB ext4 disk with about 1 GiB of data, made once and kept (see real-image.sh). */
export function realDisks(): string[] {
  const lines = execFileSync('bash', ['test/support/real-image.sh', '4G', '1000'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return lines
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0] as string)
    .filter((path) => path.includes('disk'));
}

export function realDisk(): string {
  return realDisks()[0] as string;
}
