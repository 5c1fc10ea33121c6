import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const { ok, run, path } = workspace();

beforeAll(async () => {
  writeFileSync(path('disk.raw'), noise(64 * 1024, 1));
  for (const name of ['v1.0', 'v1.1']) await ok(['import', 'disk.raw', 'vm.vsi', '--tag', name, '-q']);
});

/** Of serve, by people who know qemu-nbd and nbdkit. Whatever is right would not end. */
const ROWS: readonly (readonly [line: string, status: number, output: RegExp])[] = [
  ['serve vm.vsi -p 10809', 64, /'10809' [^;]*: a command stands behind --; [^\n]*'--port 10809'/],
  ['serve vm.vsi v1.0', 64, /a command stands behind --; a version is '-x v1\.0'/],
  ['serve vm.vsi nbdinfo', 64, /a command stands behind --/],
  ['serve vm.vsi v1.0 -- true', 64, /'v1\.0' [^;]*: a command stands behind --/],
  ['serve vm.vsi@v1.0', 64, /write 'vm\.vsi -x v1\.0'/],
  ['serve vm.vsi -x v1.0 -- nbdcopy $VSIMG_URI out.raw', 64, /one word in quotes.*-- 'nbdcopy \$VSIMG_URI out\.raw'/],
  ['serve vm.vsi -- nbdinfo nbd+unix:///?socket=$VSIMG_SOCKET', 64, /one word in quotes/],
  ['serve vm.vsi -- echo -- hello', 0, /^-- hello\n$/],
  ['serve vm.vsi -x v1.0 -- echo', 0, /^\n$/],
  ['serve -- vm.vsi echo hello', 0, /^hello\n$/],
  ['serve vm.vsi -- sh -c $VSIMG_NONE', 0, /^$/],
  ['serve vm.vsi --', 64, /no command stands behind --; name one, or leave -- out/],
  ['serve vm.vsi -- ', 64, /no command stands behind --/],
  ['serve vm.vsi --bind 127.0.0.1:10810', 64, /give '--bind 127\.0\.0\.1 --port 10810'/],
  ['serve vm.vsi --bind [::1]:10810', 64, /give '--bind ::1 --port 10810'/],
  ['serve vm.vsi --bind [::1] --port 99999', 64, /no port 99999/],
  ['serve vm.vsi --socket=', 64, /needs a name/],
  ['serve vm.vsi --socket disk.raw', 73, /it is no socket; name a file that is not there yet/],
  ['serve vm.vsi -t', 64, /stays until it is stopped/],
  ['serve vm.vsi --persistent', 64, /stays until it is stopped/],
  ['serve vm.vsi --unix s.sock', 64, /'--socket PATH'/],
  ['serve vm.vsi -U -', 64, /'--socket PATH'/],
  ['serve vm.vsi -e 10', 64, /any number of clients/],
  ['serve vm.vsi --shared=10', 64, /any number of clients/],
  ['serve vm.vsi --run x', 64, /'-- COMMAND'/],
  ['serve vm.vsi --snapshot', 64, /'REV\+scratch'/],
  ['serve vm.vsi --ipaddr 127.0.0.1', 64, /'--bind ADDR'/],
  ['serve vm.vsi --listen 127.0.0.1', 64, /'--bind ADDR --port N'/],
  ['serve vm.vsi --ro', 64, /'--read-only'/],
  ['serve vm.vsi --timeout 5', 64, /'--idle-exit SECONDS'/],
  ['serve vm.vsi -B b0', 64, /changed-since/],
  ['serve vm.vsi --bitmap=b0', 64, /changed-since/],
  ['serve vm.vsi --pid-file=x', 64, /take \$!/],
  ['serve vm.vsi --fork', 64, /put '&' behind.*systemd/],
  ['serve vm.vsi --exit-with-parent', 64, /'-- COMMAND'/],
  ['serve vm.vsi --tls-creds=x', 64, /'--tls-certificates DIR'/],
  ['serve vm.vsi --cache=none', 64, /until a client flushes/],
  ['serve vm.vsi -c /dev/nbd0', 64, /'nbd-client'/],
  ['serve vm.vsi -d /dev/nbd0', 64, /stopped by a signal/],
  ['serve vm.vsi --list', 64, /'nbdinfo --list URI'/],
  ['serve vm.vsi -l v1.0', 64, /'--export REV'/],
  ['serve vm.vsi --commit', 64, /'--commit-on-disconnect'/],
  ['nbd vm.vsi', 64, /it is 'vsimg serve'/],
  ['nbdkit vm.vsi', 64, /it is 'vsimg serve'/],
  ['qemu-nbd vm.vsi', 64, /it is 'vsimg serve'/],
  ['share vm.vsi', 64, /it is 'vsimg serve'/],
  ['daemon vm.vsi', 64, /it is 'vsimg serve'/],
  ['export-nbd vm.vsi', 64, /it is 'vsimg serve'/],
  ['mount vm.vsi', 64, /'vsimg export'.*'vsimg serve'/],
  ['export -O qcow2 vm.vsi x.qcow2', 64, /vsimg serve IMAGE -- 'qemu-img convert/],
  ['export -r v1.0 vm.vsi x.raw', 64, /IMAGE@REV/],
  ['delete vm.vsi 1 --gc', 64, /'vsimg gc' afterwards/],
  ['squash vm.vsi 1..2 --gc', 64, /'vsimg gc' afterwards/],
  ['write vm.vsi x.raw -o 4k', 64, /'--offset'/],
  ['write vm.vsi x.raw --seek 4k', 64, /'--offset'/],
  ['read vm.vsi -s 4k', 64, /'--offset' and '--length'/],
];

describe('what people type who want to serve a disk', () => {
  it.each(ROWS)('vsimg %s', async (line, status, output) => {
    const result = await run(line.split(' '));
    expect({ line, status: result.status }).toEqual({ line, status });
    expect(status === 0 ? result.stdout : result.stderr).toMatch(output);
    expect(result.stderr).toMatch(status === 0 ? /^$/ : /^vsimg: [^\n]+\n$/);
  });
});
