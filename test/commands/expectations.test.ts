import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { noise, workspace } from '../support/workspace.ts';

const { json, ok, run, path } = workspace();

beforeAll(async () => {
  const disk = Buffer.concat([noise(64 * 1024, 1), Buffer.alloc(960 * 1024)]);
  writeFileSync(path('disk.raw'), disk);
  await ok(['import', 'disk.raw', 'disk.vsi', '-m', 'first', '--tag', 'v1.0', '-q']);
  noise(4096, 2).copy(disk, 8192);
  writeFileSync(path('disk2.raw'), disk);
  await ok(['import', 'disk2.raw', 'disk.vsi', '-m', 'second', '--tag', 'v1.1', '-q']);
  for (const name of ['vm.vsi', 'g.vsi']) writeFileSync(path(name), readFileSync(path('disk.vsi')));
  await ok(['branch', 'disk.vsi', 'fixes', 'v1.0', '-q']);
  writeFileSync(path('damaged.vsi'), readFileSync(path('disk.vsi')).subarray(0, 3000));
});

/** What is typed, the status, and what comes out: on stdout if the status is below 64, else on stderr. */
type Row = readonly [line: string, status: number, output: RegExp];

const LIKE_QEMU_IMG: readonly Row[] = [
  ['create new.vsi 1G', 0, /^created new\.vsi: 1 GiB/],
  ['create -f vsi new2.vsi 1G', 64, /too many arguments/],
  ['create new.vsi 1G', 73, /exists already.*--force/],
  ['create big.vsi 10GB', 64, /write 10G for powers of 1024/],
  ['create big.vsi', 64, /missing required argument 'SIZE'/],
  ['info disk.vsi', 0, /^image: +disk\.vsi\nfile format: +vsi/],
  ['info --output=json disk.vsi', 0, /"virtual-size": 1048576/],
  ['info --output json disk.vsi', 0, /"format": "vsi"/],
  ['info -U disk.vsi', 64, /unknown option '-U'/],
  ['info disk.raw', 65, /disk\.raw: is not an image of vsimg/],
  ['info missing.vsi', 66, /there is no file 'missing\.vsi'/],
  ['info damaged.vsi', 65, /damaged\.vsi/],
  ['check disk.vsi', 0, /^No errors were found on the image\./],
  ['check --output=json disk.vsi', 0, /"check-errors": 0/],
  ['check -r all disk.vsi', 64, /unknown option '-r'/],
  ['check missing.vsi', 1, /there is no file/],
  ['convert -O raw disk.vsi out.raw', 64, /'vsimg import'.*'vsimg export'/],
  ['snapshot -l disk.vsi', 64, /'vsimg commit' makes one, 'vsimg log' lists them/],
  ['snapshot -c name disk.vsi', 64, /'vsimg commit'/],
  ['rebase -b base.vsi disk.vsi', 64, /needs no other file/],
  ['dd if=disk.vsi of=x', 64, /'vsimg read'/],
  ['export disk.vsi out.raw', 0, /^exported 1 MiB to out\.raw/],
  ['export disk.vsi out.raw', 73, /'out\.raw' exists already/],
  ['export -f disk.vsi@v1.0 out.raw', 0, /^exported 1 MiB/],
  ['export -l v1.0 disk.vsi old.raw', 0, /^exported 1 MiB/],
  ['import disk.raw disk.vsi -m again -p', 0, /^\[main \d /],
  ['import missing.raw disk.vsi', 66, /missing\.raw/],
  ['-f raw info disk.vsi', 64, /'-f' stands before the command/],
  ['--help', 0, /^Usage: vsimg COMMAND/],
  ['--version', 0, /^vsimg \d/],
  ['-V', 0, /^vsimg \d/],
  ['', 64, /no command given/],
];

const LIKE_GIT: readonly Row[] = [
  ['init', 64, /it is 'vsimg create'/],
  ['clone disk.vsi', 64, /copy it/],
  ['add disk.vsi', 64, /no staging/],
  ['comit disk.vsi -m x', 64, /unknown command 'comit'; did you mean commit\?/],
  ['commit disk.vsi', 64, /give it with -m MESSAGE/],
  ['commit disk.vsi -m nothing', 78, /nothing changed|--allow-empty/],
  ['commit -m empty --allow-empty disk.vsi', 0, /^\[main \d+ [0-9a-f]{8}\] empty\n id [0-9a-f]{32}, parent \d+\n/],
  ['commit -a -m x disk.vsi', 64, /unknown option '-a'; there is no staging/],
  ['log disk.vsi', 0, /^version \d+ \(HEAD -> main\)\nId:/],
  ['log --oneline disk.vsi', 0, /^\d+ [0-9a-f]{8} \(HEAD -> main\)/],
  ['log --oneline --graph disk.vsi', 0, /^\* \d+ [0-9a-f]{8} \(HEAD -> main\)/],
  ['log -n 1 --oneline disk.vsi', 0, /^[^\n]+\n$/],
  ['log -n1 --oneline disk.vsi', 0, /^[^\n]+\n$/],
  ['log --max-count=1 --oneline disk.vsi', 0, /^[^\n]+\n$/],
  ['log --onelin disk.vsi', 64, /did you mean --oneline\?/],
  ['log disk.vsi@v1.0 --oneline', 0, /^1 [0-9a-f]{8} \(tag: v1\.0, fixes\) first\n$/],
  ['log disk.vsi@v1.2', 66, /did you mean 'v1\.[01]'\?/],
  ['log disk.vsi@mian', 66, /did you mean 'main'\?/],
  ['log disk.vsi@HEAD~99', 66, /goes beyond version 1/],
  ['log disk.vsi@', 64, /the revision is empty/],
  ['diff disk.vsi', 0, /^$/],
  ['diff --stat disk.vsi', 0, /^no differences\n$/],
  ['diff disk.vsi v1.0 v1.1', 0, /Offset +Length +Kind\n +8192 +4096 +data\n$/],
  ['diff disk.vsi v1.0..v1.1 --stat', 0, /^1 range, 4 KiB: 4 KiB data/],
  ['diff disk.vsi v1.0...v1.1', 64, /write A\.\.B/],
  ['diff --exit-code -q disk.vsi v1.0 v1.1', 1, /^$/],
  ['diff --quiet --exit-code disk.vsi', 0, /^$/],
  ['tag disk.vsi', 0, /^v1\.0 +1 [^\n]+\nv1\.1 +2 /],
  ['tag disk.vsi v1.0', 73, /exists already/],
  ['tag disk.vsi bad..name', 64, /it holds \.\./],
  ['tag disk.vsi 12', 64, /all digits would be a version number/],
  ['tag disk.vsi -d v9', 66, /there is no tag 'v9'/],
  ['tag disk.vsi -d v1.3', 66, /did you mean 'v1\.[01]'\?/],
  ['branch disk.vsi', 0, /^ {2}fixes +1 [^\n]*\n\* main/],
  ['branch disk.vsi -d main', 78, /'main' is checked out/],
  ['checkout disk.vsi fixes', 0, /fixes/],
  ['checkout -b work disk.vsi v1.1', 0, /work/],
  ['checkout disk.vsi main', 0, /main/],
  ['checkout disk.vsi nowhere', 66, /no version, tag or branch 'nowhere'/],
  ['switch main', 64, /it is 'vsimg checkout'/],
  ['reset --hard', 64, /--force' drops what is not committed/],
  ['restore disk.vsi', 64, /'vsimg checkout'/],
  ['rm disk.vsi', 64, /it is 'vsimg delete'/],
  ['delete disk.vsi main', 78, /checked out/],
  ['delete disk.vsi 7..9', 66, /there is no version in 7\.\.9/],
  ['gc disk.vsi --dry-run', 0, /^(nothing to free: |would free )/],
  ['gc disk.vsi --prune=now', 64, /unknown option/],
  ['fsck', 64, /it is 'vsimg check'/],
  ['merge fixes', 64, /can not be merged/],
  ['ls disk.vsi', 64, /'vsimg log' lists versions/],
  ['cat disk.vsi', 64, /'vsimg read'/],
  ['help', 0, /^Usage: vsimg COMMAND/],
  ['help log', 0, /^Usage: vsimg log/],
  ['log --help', 0, /^Usage: vsimg log/],
  ['log -h', 0, /^Usage: vsimg log/],
  ['help revisions', 0, /HEAD~2/],
  ['help revision', 64, /did you mean revisions\?/],
  ['help -a', 0, /^ +log +list versions$/m],
];

/** What both would try with several versions of one disk; of an image of its own, one line after the other. */
const OF_VERSIONS: readonly Row[] = [
  ['compare disk.raw vm.vsi@v1.0', 0, /^the disks are the same$/m],
  ['compare disk.raw disk2.raw', 1, /^the disks differ at byte 8192$/m],
  ['compare vm.vsi missing', 66, /there is no file 'missing'/],
  ['compare vm.vsi', 64, /missing required argument 'B'/],
  ['map vm.vsi', 0, /^ *8192 +4096 +data +\S+ +2$/m],
  ['map --output=json vm.vsi', 0, /"depth": ?0/],
  ['measure disk.raw', 0, /^required size: /],
  ['measure --output=json disk.raw', 0, /"fully-allocated": \d+/],
  ['resize vm.vsi +1M', 0, /to 2 MiB/],
  ['resize vm.vsi 1M', 78, /give --shrink/],
  ['resize --shrink vm.vsi -1M', 0, /to 1 MiB/],
  ['status vm.vsi', 0, /nothing changed since version 2/],
  ['bench -c 10 -w vm.vsi', 0, /nothing was committed/],
  ['status vm.vsi --exit-code', 1, /changed since version 2/],
  ['checkout vm.vsi main', 78, /--force/],
  ['checkout vm.vsi --force', 0, /^on branch main/],
  ['show vm.vsi@v1.1', 0, /^version 2 \(HEAD -> main, tag: v1\.1\)/],
  ['show vm.vsi v1.0 --stat', 0, /^version 1 /],
  ['rev-parse vm.vsi HEAD~1', 0, /^1\n$/],
  ['rev-parse --verify vm.vsi nope', 66, /'nope'/],
  ['rev-parse --abbrev-ref vm.vsi HEAD', 0, /^main\n$/],
  ['blame vm.vsi', 0, /^[0-9a-f]{8} 2 \S+ +8192 +4096 second$/m],
  ['log vm.vsi --range 8k:4k --oneline', 0, /^2 .*\n1 /],
  ['log vm.vsi --range 0:512 --oneline', 0, /^1 [^\n]*\n$/],
  ['log vm.vsi --json=lines -n 1', 0, /^\{"version":2,[^\n]*\}\n$/],
  ['du vm.vsi', 0, /^versions alone: /m],
  ['du vm.vsi 1', 0, /gives back/],
  ['forget vm.vsi', 64, /--keep-last 10/],
  ['forget vm.vsi --keep-last 1 --dry-run', 0, /^remove 1 version/m],
  ['forget vm.vsi --keep-last 1 --dry-run --json=lines', 0, /^\{"version":1,[^\n]*\n$/],
  ['lock vm.vsi v1.0', 64, /'vsimg tag --lock'/],
  ['commit vm.vsi --amend', 64, /it is 'vsimg amend'/],
  ['check vm.vsi -r all', 64, /it is '--repair'/],
  ['forget vm.vsi --keep-last 1 --prune', 64, /it is '--gc'/],
  ['log vm.vsi -1 --oneline', 0, /^2 [^\n]*\n$/],
  ['log vm.vsi --all', 64, /all versions are listed/],
  ['tag vm.vsi -l', 64, /lists all/],
  ['diff vm.vsi@1 vm.vsi@2', 0, /./],
  ['compare vm.vsi 1 2', 64, /IMAGE@A IMAGE@B/],
  ['squash vm.vsi 1 2', 64, /write A\.\.B/],
  ['tag --lock vm.vsi v1.0', 0, /locked\) first/],
  ['delete vm.vsi 1', 78, /--unlock 1/],
  ['forget vm.vsi --keep-last 1', 0, /locked/],
  ['tag --unlock vm.vsi v1.0', 0, /^unlocked 1/],
  ['amend vm.vsi -m better', 0, /better$/m],
  ['squash vm.vsi 1..2', 0, /^nothing merged/],
  ['batch vm.vsi -c lsof', 64, /unknown command 'lsof'.*the image is unchanged/],
  ['completion bash', 0, /^# Completion/],
  ['stash vm.vsi', 64, /'vsimg commit'/],
  ['revert vm.vsi 2', 64, /'vsimg checkout'/],
];

/** What was guessed wrong, by people who know the others; of an image of its own, one line after the other. */
const GUESSED: readonly Row[] = [
  // The image is not where it was looked for.
  ['checkout main g.vsi', 66, /no file 'main'; IMAGE comes first: 'vsimg checkout g\.vsi main'$/m],
  ['checkout - g.vsi', 64, /IMAGE comes first: 'vsimg checkout g\.vsi -'$/m],
  ['show v1.0 g.vsi@v1.1', 66, /IMAGE comes first: 'vsimg show g\.vsi@v1\.1 v1\.0'$/m],
  ['tag v9 g.vsi', 66, /IMAGE comes first: 'vsimg tag g\.vsi v9'$/m],
  ['diff v1.0 v1.1 g.vsi', 66, /IMAGE comes first: 'vsimg diff g\.vsi v1\.0 v1\.1'$/m],
  ['resize +1M g.vsi', 66, /IMAGE comes first: 'vsimg resize g\.vsi \+1M'$/m],
  ['create 5G x.vsi', 64, /IMAGE comes first: 'vsimg create x\.vsi 5G'$/m],
  ['create x.vsi 1G --block-size 5000', 64, /power of two from 512 to 65536; give such as 4k/],
  ['create . 1G', 73, /it is a directory; choose another name/],
  ['export g.vsi .', 73, /it is a directory; choose another name/],
  ['log main', 66, /there is no file 'main'; IMAGE comes first, the name of a file/],
  ['g.vsi log --oneline', 64, /the command comes first: 'vsimg log g\.vsi --oneline'$/m],
  ['LOG g.vsi', 64, /did you mean log\?/],
  ['status', 64, /write 'vsimg status IMAGE'/],
  ['export g.vsi', 64, /write 'vsimg export IMAGE\[@REV\] DST'/],
  ['squash g.vsi', 64, /write 'vsimg squash IMAGE A\.\.B'/],
  // Revisions as others write them.
  ['checkout g.vsi -', 66, /what was checked out before is not kept/],
  ['checkout g.vsi @{-1}', 66, /what was checked out before is not kept/],
  ['log g.vsi@HEAD@{1}', 66, /there is no reflog/],
  ['checkout g.vsi latest', 66, /is HEAD$/m],
  ['checkout g.vsi @~1', 66, /is HEAD$/m],
  ['log g.vsi@HEAD^ --oneline', 0, /^1 [^\n]*\n$/],
  ['log g.vsi@HEAD^2', 66, /~1, ~2/],
  ['log g.vsi@v1.0..v1.1', 66, /a range can not be taken here/],
  ['log g.vsi v1.0', 64, /IMAGE@REV lists that version/],
  ['show g.vsi@-1', 66, /HEAD~1/],
  ['delete g.vsi 2..1', 64, /the range 2\.\.1 ends before it begins; write 1\.\.2/],
  ['du g.vsi 2..1', 64, /write 1\.\.2/],
  ['rev-parse g.vsi 2..1', 64, /write 1\.\.2/],
  ['delete g.vsi v1.0..v1.1', 64, /not a range of version numbers; give two numbers/],
  ['delete g.vsi 1-2', 66, /are written 3\.\.7/],
  ['delete g.vsi 1,2', 66, /one version a word/],
  ['squash g.vsi 1...2', 64, /three dots; write A\.\.B/],
  // Parts of the disk.
  ['log g.vsi --range 4k: --oneline', 0, /^2 [^\n]*\n1 [^\n]*\n$/],
  ['log g.vsi --range :4k --oneline', 0, /^1 [^\n]*\n$/],
  ['log g.vsi --range 1M:1', 78, /beyond the end of the disk, which has 1048576 bytes/],
  ['log g.vsi --range 63M:', 78, /byte 66060288 lies beyond the end of the disk/],
  ['blame g.vsi --offset 63M', 78, /beyond the end of the disk, which has 1048576 bytes/],
  ['read g.vsi --offset 63M', 78, /beyond the end of the disk, which has 1048576 bytes/],
  ['map g.vsi --offset 63M', 78, /beyond the end of the disk, which has 1048576 bytes/],
  ['write g.vsi --offset 63M --data x', 78, /beyond the end of the disk, which has 1048576 bytes/],
  ['read g.vsi 0 512', 64, /a range is --offset and --length/],
  ['write g.vsi -P 0xab 0 512', 64, /a place is --offset/],
  ['help size', 64, /did you mean sizes\?/],
  ['help ranges', 64, /'vsimg help sizes'/],
  ['help exit-codes', 64, /'vsimg help exit-statuses'/],
  ['help topics', 64, /'vsimg help -a'/],
  ['help sizes', 0, /63M: +from 63 MiB to the end/],
  // Options of git.
  ['log -1 g.vsi --oneline', 0, /^2 [^\n]*\n$/],
  ['log g.vsi -n1 --oneline', 0, /^2 [^\n]*\n$/],
  ['log g.vsi -n -1', 64, /-n '-1' is not a number/],
  ['log -- -1', 66, /there is no file '-1'/],
  ['log --stat g.vsi', 64, /'vsimg show IMAGE@REV --stat'/],
  ['log --pretty=oneline g.vsi', 64, /--oneline is short/],
  ['log --grep=x g.vsi', 64, /grep WORD/],
  ['log --reverse g.vsi', 64, /tac/],
  ['diff --cached g.vsi', 64, /there is no staging/],
  ['diff g.vsi HEAD^!', 66, /'vsimg show' tells what one version changed/],
  ['diff g.vsi vm.vsi', 66, /'vsimg compare' compares two files/],
  ['diff -U3 g.vsi', 64, /unknown option '-U3'; see/],
  ['checkout g.vsi HEAD', 0, /^on branch main, at 2 /],
  ['amend g.vsi 2 MSG', 64, /the message is -m MESSAGE/],
  ['diff --name-only g.vsi', 64, /--stat sums them up/],
  ['diff g.vsi 1 2 3', 64, /give IMAGE A B/],
  ['show g.vsi --stat', 0, /^version 2 /],
  ['status -s g.vsi', 0, /^$/],
  ['status -sb g.vsi', 64, /the branch is always shown/],
  ['commit -am MSG g.vsi', 64, /'-am'; there is no staging/],
  ['commit g.vsi MSG', 64, /the message is -m MESSAGE/],
  ['branch -D fixes g.vsi', 64, /it is '-d'/],
  ['branch -m g.vsi fixes new', 64, /'vsimg branch IMAGE NEW OLD'/],
  ['branch --show-current g.vsi', 64, /rev-parse IMAGE --abbrev-ref HEAD'/],
  ['branch -vv g.vsi', 64, /shows versions and messages/],
  ['tag -n g.vsi', 64, /shows messages/],
  ['tag -a g.vsi v3 -m msg', 64, /'vsimg tag IMAGE NAME REV'/],
  ['tag g.vsi old v1.0', 0, /^tag old is version 1$/m],
  ['tag -d g.vsi old', 0, /^deleted tag old \(was version 1\)\n$/],
  ['branch g.vsi one', 0, /^branch one/],
  ['branch g.vsi two', 0, /^branch two/],
  ['branch -d g.vsi one two', 0, /^deleted branch one [^\n]*\ndeleted branch two /],
  ['branch -d g.vsi nope', 66, /there is no branch 'nope'/],
  ['branch -d nope one', 66, /there is no file 'one'/],
  ['checkout -B main g.vsi v1.0', 64, /'vsimg branch IMAGE NAME REV --force'/],
  ['help stash', 64, /'vsimg commit' keeps/],
  ['version', 64, /'vsimg --version'/],
  ['-v', 64, /it is '-V'/],
  // Of qemu-img.
  ['create -f qcow2 x.vsi 1G', 64, /the format is always vsi/],
  ['create x.vsi -b base.vsi', 64, /needs no other file/],
  ['info -f vsi g.vsi', 64, /the format is seen from the file/],
  ['export -O qcow2 g.vsi x.qcow2', 64, /the target is always raw/],
  ['export g.vsi v1.0 x.raw', 64, /a version is IMAGE@REV/],
  ['import g.vsi g.vsi', 64, /SRC and IMAGE are the same file, 'g\.vsi'/],
  ['compare -s disk.raw disk2.raw', 64, /sizes always count/],
  ['resize --preallocation=full g.vsi +1G', 64, /takes no space/],
  ['resize g.vsi 1M', 0, /^g\.vsi has 1 MiB \(1048576 bytes\) already\n$/],
  ['resize g.vsi +1', 0, /from 1 MiB \(1048576 bytes\) to 1 MiB \(1048577 bytes\)\n$/],
  ['checkout g.vsi -f', 0, /^on branch main/],
  ['help convert', 64, /'vsimg import'.*'vsimg export'/],
  // Of restic and du.
  ['forget g.vsi --keep-last -1', 64, /or 'unlimited' to keep all/],
  ['forget g.vsi --keep-last=-1', 64, /or 'unlimited' to keep all/],
  ['forget g.vsi --keep-daily all', 64, /or 'unlimited' to keep all/],
  ['forget g.vsi --keep-tag v1.0,v1.1', 66, /give --keep-tag once for each tag/],
  ['forget g.vsi 1 2', 64, /'vsimg delete' removes the versions that are named/],
  ['check --read-data g.vsi', 64, /it is '--data'/],
  ['unlock g.vsi', 64, /'vsimg tag --unlock'/],
  ['mount g.vsi', 64, /'vsimg export'/],
  ['delete g.vsi -n 1', 64, /'vsimg du IMAGE REV\.\.\.'/],
  ['squash g.vsi 1..2 --dry-run', 0, /^would merge nothing into 2\n/],
  ['du g.vsi', 0, /^\(\* is checked out: .* counts as shared\)$/m],
  ['du g.vsi 2', 0, /^version 2 is checked out: what it shares with the working state stays$/m],
  ['show g.vsi --space', 0, /^\(it is checked out: .* is not counted\)$/m],
  ['show g.vsi@1 --space --stat', 0, /holds [^\n]*\n$/],
];

describe('what people type', () => {
  for (const [who, rows] of [
    ['qemu-img', LIKE_QEMU_IMG],
    ['git', LIKE_GIT],
    ['both', OF_VERSIONS],
    ['others, wrongly', GUESSED],
  ] as const) {
    it.each(rows)(`as with ${who}: vsimg %s`, async (line, status, output) => {
      const result = await run(line.split(' ').filter((word) => word !== ''));
      const isError = result.status !== null && (result.status >= 64 || (result.status === 1 && result.stderr !== ''));
      expect({ line, status: result.status }).toEqual({ line, status });
      expect(isError ? result.stderr : result.stdout).toMatch(output);
      if (isError && line !== '') expect(result.stderr).toMatch(/^vsimg: [^\n]+\n$/);
      else if (!isError) expect(result.stderr.replaceAll(/[^\n\r]*\r|import[^\n]*\n/g, '')).toBe('');
    });
  }

  it('takes an empty file, as mktemp makes it, for a new image', async () => {
    writeFileSync(path('empty.vsi'), '', { mode: 0o600 });
    await ok(['import', 'disk.raw', 'empty.vsi', '-q']);
    expect(await ok(['log', 'empty.vsi', '--oneline'])).toMatch(/^1 /);
    writeFileSync(path('full.vsi'), 'x');
    expect((await run(['import', 'disk.raw', 'full.vsi'])).status).toBe(65);
    expect(readFileSync(path('full.vsi'), 'utf8')).toBe('x');
  });

  it('says that log has no progress to show, and lists all the same', async () => {
    const { status, stdout, stderr } = await run(['log', 'g.vsi', '-p', '--oneline']);
    expect({ status, lines: stdout.split('\n').length }).toEqual({ status: 0, lines: 3 });
    expect(stderr).toMatch(/^vsimg: -p shows progress[^\n]*'vsimg diff' show what changed\n$/);
    for (const quiet of [['-q'], ['--json'], ['--progress=none']])
      expect((await run(['log', 'g.vsi', '-p', ...quiet])).stderr).toBe('');
  });

  it.each([
    ['versions', ['log']],
    ['versions', ['log', '--range', ':4k']],
    ['versions', ['du']],
    ['tags', ['tag']],
    ['branches', ['branch']],
    ['ranges', ['status']],
    ['snapshots', ['info']],
    ['remove', ['forget', '--keep-last', '1']],
  ])('lists no %s where there are none: %j', async (list, [command = '', ...options]) => {
    writeFileSync(path('none.vsi'), '');
    await ok(['create', 'none.vsi', '1M', '--force', '-q']);
    expect((await json([command, 'none.vsi', ...options]))[list]).toEqual([]);
    if (command !== 'info') expect(await ok([command, 'none.vsi', ...options, '--json=lines'])).toBe('');
  });

  it('names the file that is damaged, and the place once', async () => {
    const bytes = readFileSync(path('disk.vsi'));
    bytes[20_000] = (bytes[20_000] ?? 0) ^ 1;
    writeFileSync(path('flipped.vsi'), bytes);
    const { status, stderr } = await run(['export', 'flipped.vsi@v1.0', 'flipped.raw']);
    expect(status).toBe(65);
    expect(stderr).toMatch(
      /^vsimg: flipped\.vsi: bytes \d+ to \d+ of the disk .* data at byte \d+ of the file has a wrong checksum; /,
    );
    const numbers = stderr.match(/\d{3,}/g) ?? [];
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});
