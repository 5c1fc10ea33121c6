import { readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { nbdShell, startServing } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;
const SIZE_BYTES = 40 * MIB + 1000;

const place = workspace();
const { ok, path } = place;

let image = '';
let count = 0;

beforeEach(async () => {
  image = `${++count}.vsi`;
  const content = Buffer.alloc(SIZE_BYTES);
  content.set(noise(MIB, 1));
  content.set(noise(1000, 2), SIZE_BYTES - 1000);
  writeFileSync(path('disk.raw'), content);
  await ok(['import', 'disk.raw', image, '-q']);
});

/** Puts the exact error of a call that must fail into words of one line. */
const REFUSED = `
import errno
def refused(call):
    try:
        call()
    except nbd.Error as error:
        return errno.errorcode[error.errnum]
    return 'no error'
`;

describe('a client that asks for everything', () => {
  it('sees at any offset and length what a plain array of bytes holds', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri(),
      `
import random
h.connect_uri(uri)
size = h.get_size()
model = bytearray(h.pread(32 << 20, 0) + h.pread(size - (32 << 20), 32 << 20))
chance = random.Random(1)
for step in range(400):
    length = min(size, chance.choice([1, 7, 511, 512, 4095, 4096, 4097, 70000, 300000]))
    offset = chance.choice([chance.randrange(size - length + 1), size - length, chance.randrange(20000), (1 << 20) - 3])
    offset = min(offset, size - length)
    action = chance.randrange(6)
    if action == 0:
        h.trim(length, offset, chance.choice([0, nbd.CMD_FLAG_FUA]))
        model[offset:offset + length] = bytes(length)
    elif action == 1:
        h.zero(length, offset, chance.choice([0, nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO]))
        model[offset:offset + length] = bytes(length)
    elif action <= 3:
        data = chance.randbytes(length)
        h.pwrite(data, offset, nbd.CMD_FLAG_FUA if chance.randrange(20) == 0 else 0)
        model[offset:offset + length] = data
    else:
        assert h.pread(length, offset) == model[offset:offset + length], (step, offset, length)
    if chance.randrange(50) == 0:
        h.flush()
for start in range(0, size, 1 << 20):
    end = min(size, start + (1 << 20))
    assert h.pread(end - start, start) == model[start:end], start
open('${path('model.raw')}', 'wb').write(model)
print('the same')
`,
    );
    expect(printed).toBe('the same\n');
    await server.stop();
    await ok(['read', image, '-o', 'back.raw', '-q']);
    expect(readFileSync(path('back.raw')).equals(readFileSync(path('model.raw')))).toBe(true);
  });

  it('gets requests of 32 MiB, and a clear no to longer ones and to those beyond the end', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri(),
      `${REFUSED}
h.set_strict_mode(0)
h.connect_uri(uri)
most = 32 << 20
size = h.get_size()
data = bytes(range(251)) * (most // 251) + bytes(most % 251)
h.pwrite(data, 5)
print(h.pread(most, 5) == data, h.pread(most, 5, nbd.CMD_FLAG_DF) == data)
h.zero(size, 0)
print(h.pread(1000, size - 1000) == bytes(1000))
print(refused(lambda: h.pread(2, size - 1)))
print(refused(lambda: h.pwrite(b'12', size - 1)))
print(refused(lambda: h.zero(2, size - 1)))
print(refused(lambda: h.trim(2, size - 1)))
print(refused(lambda: h.pread(1, 1 << 62)))
print(refused(lambda: h.trim(1, 0, 1 << 9)))
print(h.pread(1000, size - 1000) == bytes(1000))
print(refused(lambda: h.pread(most + 1, 0)), len(h.pread(most, 0)))
# Nobody listens to the end of that.
print(refused(lambda: h.pwrite(bytes(most + 1), 0)) != 'no error')
again = nbd.NBD()
again.connect_uri(uri)
print(len(again.pread(most, 0)))
`,
    );
    expect(printed.trim().split('\n')).toEqual([
      'True True',
      'True',
      'EINVAL',
      'ENOSPC',
      'ENOSPC',
      'EINVAL',
      'EINVAL',
      'EINVAL',
      'True',
      `EOVERFLOW ${32 * MIB}`,
      'True',
      String(32 * MIB),
    ]);
  });

  it('can not change a version', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri('1'),
      `${REFUSED}
h.set_strict_mode(0)
h.connect_uri(uri)
before = h.pread(4096, 0)
print(h.is_read_only())
for call in (lambda: h.pwrite(b'x', 0), lambda: h.trim(4096, 0), lambda: h.zero(4096, 0)):
    print(refused(call))
h.flush()
h.cache(4096, 0)
print(h.pread(4096, 0) == before)
`,
    );
    expect(printed.trim().split('\n')).toEqual(['True', 'EPERM', 'EPERM', 'EPERM', 'True']);
  });

  it('reads holes as holes, in one piece only if it asks for that', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri('1'),
      `
h.connect_uri(uri)
def chunks(flags):
    seen = []
    def chunk(data, offset, status, error):
        seen.append((offset, len(data), {nbd.READ_DATA: 'data', nbd.READ_HOLE: 'hole'}[status]))
    h.pread_structured(2 << 20, 512 << 10, chunk, flags)
    return sorted(seen)
print(chunks(nbd.CMD_FLAG_DF))
seen = chunks(0)
print(sum(length for _, length, _ in seen), {kind for offset, _, kind in seen if offset < 1 << 20}, {kind for offset, _, kind in seen if offset >= 1 << 20})
`,
    );
    const half = 512 * 1024;
    expect(printed.trim().split('\n')).toEqual([`[(${half}, ${2 * MIB}, 'data')]`, `${2 * MIB} {'data'} {'hole'}`]);
  });

  it('learns of what it just wrote and zeroed, in several contexts at once', async () => {
    await ok(['tag', image, 'base', '1', '-q']);
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri(),
      `
names = ['base:allocation', 'qemu:dirty-bitmap:base', 'vsimg:changed-since:1']
for name in names + ['qemu:dirty-bitmap:no-such', 'other:context']:
    h.add_meta_context(name)
h.connect_uri(uri)
print([h.can_meta_context(name) for name in names], h.can_meta_context('qemu:dirty-bitmap:no-such'), h.can_meta_context('other:context'))
h.pwrite(b'new', 8 << 20)
h.zero(64 << 10, 0)
found = {}
def extents(name, offset, entries, error):
    found[name] = [(entries[at], entries[at + 1]) for at in range(0, len(entries), 2)]
h.block_status(9 << 20, 0, extents)
for name in names:
    print(found[name])
h.block_status(9 << 20, 0, extents, nbd.CMD_FLAG_REQ_ONE)
print([len(found[name]) for name in names])
h.block_status(1, 3, extents)
print([found[name] for name in names])
`,
    );
    const [zeroed, hole, written] = [64 * 1024, 7 * MIB, 4096];
    const end = MIB - written;
    const dirty = `[(${zeroed}, 1), (${8 * MIB - zeroed}, 0), (${written}, 1), (${end}, 0)]`;
    expect(printed.trim().split('\n')).toEqual([
      '[True, True, True] False False',
      `[(${zeroed}, 3), (${MIB - zeroed}, 0), (${hole}, 3), (${written}, 0), (${end}, 3)]`,
      dirty,
      dirty,
      '[1, 1, 1]',
      '[[(1, 3)], [(1, 1)], [(1, 1)]]',
    ]);
  });

  it('works without structured replies, and by the option that old clients use', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri('1'),
      `${REFUSED}
def connect(prepare):
    other = nbd.NBD()
    prepare(other)
    other.connect_uri(uri)
    return other
new = connect(lambda other: None)
simple = connect(lambda other: other.set_request_structured_replies(False))
old = connect(lambda other: other.set_handshake_flags(0))
print(new.get_structured_replies_negotiated(), simple.get_structured_replies_negotiated())
print(new.get_size(), simple.get_size(), old.get_size())
whole = new.pread(3 << 20, 12345)
print(simple.pread(3 << 20, 12345) == whole, old.pread(3 << 20, 12345) == whole)
simple.set_strict_mode(0)
print(refused(lambda: simple.pread(2, simple.get_size() - 1)), simple.pread(10, 0) == new.pread(10, 0))
`,
    );
    expect(printed.trim().split('\n')).toEqual([
      'True False',
      `${SIZE_BYTES} ${SIZE_BYTES} ${SIZE_BYTES}`,
      'True True',
      'EINVAL True',
    ]);
  });

  it('may have very many requests under way, on several connections', async () => {
    const server = await startServing(place, [], { image });
    const printed = await nbdShell(
      server.uri('1'),
      `
handles = [nbd.NBD() for _ in range(4)]
for each in handles:
    each.connect_uri(uri)
    assert each.can_multi_conn()
whole = handles[0].pread(2 << 20, 0)
waiting = []
for turn in range(400):
    offset = (turn * 7919) % (2 << 20 - 1)
    length = min(5000, (2 << 20) - offset)
    buffer = nbd.Buffer(length)
    each = handles[turn % 4]
    waiting.append((each, each.aio_pread(buffer, offset), buffer, offset, length))
for each, cookie, buffer, offset, length in waiting:
    while not each.aio_command_completed(cookie):
        each.poll(-1)
    assert buffer.to_bytearray() == whole[offset:offset + length]
print(len(waiting))
`,
    );
    expect(printed).toBe('400\n');
  });
});
