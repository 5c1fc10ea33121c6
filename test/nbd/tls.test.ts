import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { client, refusedClient, startServing } from '../support/serving.ts';
import { noise, workspace } from '../support/workspace.ts';

const MIB = 1024 * 1024;

const place = workspace();
const { ok, fails, path, directory } = place;
const inPlace = { cwd: directory };

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** An authority that signs certificates. */
async function certifyAuthority(name: string): Promise<void> {
  const out = ['-keyout', `${name}-key.pem`, '-out', `${name}-cert.pem`, '-subj', `/CN=${name}`];
  await client('openssl', ['req', '-x509', ...NEW_KEY, '-addext', 'keyUsage=critical,keyCertSign', ...out], inPlace);
}

async function certify(name: string, authority: string): Promise<void> {
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  await client(
    'openssl',
    ['req', '-new', ...NEW_KEY, ...names, '-keyout', `${name}-key.pem`, '-out', 'request.pem'],
    inPlace,
  );
  const signer = ['-CA', `${authority}-cert.pem`, '-CAkey', `${authority}-key.pem`, '-CAcreateserial'];
  await client(
    'openssl',
    ['x509', '-req', '-in', 'request.pem', ...signer, '-copy_extensions', 'copy', '-out', `${name}-cert.pem`],
    inPlace,
  );
}

/** A directory of certificates as libnbd, qemu and `--tls-certificates` want it. */
async function certificates(name: string, ca: string): Promise<void> {
  mkdirSync(path(name));
  const copy = (from: string, to: string) => client('cp', [from, join(name, to)], inPlace);
  await copy(`${ca}-cert.pem`, 'ca-cert.pem');
  for (const who of ['server', 'client']) {
    await certify(`${name}-${who}`, ca);
    for (const what of ['cert', 'key']) await copy(`${name}-${who}-${what}.pem`, `${who}-${what}.pem`);
  }
}

beforeAll(async () => {
  writeFileSync(path('disk.raw'), noise(4 * MIB, 1));
  await ok(['import', 'disk.raw', 'a.vsi', '-q']);
  for (const name of ['ours', 'others']) {
    await certifyAuthority(name);
    await certificates(`by-${name}`, name);
  }
});

/** One line for each client that did not come to TLS. */
const TURNED_AWAY = /^(vsimg: a client was turned away while TLS began: [^\n]+\n)+$/;

/** As `uri`, by TLS with what is in a directory. */
function secure(uri: string, name = 'by-ours'): string {
  const url = new URL(uri.replace(/^nbds?/, 'nbds'));
  url.searchParams.set('tls-certificates', path(name));
  return decodeURIComponent(url.href);
}

function plain(uri: string): string {
  return uri.replace(/^nbds/, 'nbd');
}

describe('--tls require', () => {
  it('serves by TLS, and tells others nothing', async () => {
    const server = await startServing(place, ['--tls', 'require', '--tls-certificates', 'by-ours', '--port', '0'], {
      stderr: TURNED_AWAY,
    });
    expect(server.uri('1')).toMatch(/^nbds:\/\/127\.0\.0\.1:\d+\/1$/);
    const { TLS: tls, exports } = JSON.parse(await client('nbdinfo', ['--json', secure(server.uri('1'))]));
    expect({ tls, size: exports[0]['export-size'] }).toEqual({ tls: true, size: 4 * MIB });
    await client('nbdcopy', ['--connections=4', secure(server.uri('1')), 'copy.raw'], inPlace);
    await client('cmp', ['disk.raw', 'copy.raw'], inPlace);
    for (const argv of [['--list'], ['--json']])
      expect(await refusedClient('nbdinfo', [...argv, plain(server.uri('1'))])).toMatch(/TLS|not supported/i);
    expect(await refusedClient('nbdinfo', [secure(server.uri('1'), 'by-others')])).toMatch(/certificate|handshake/i);
  });

  it('is what qemu speaks too, writes and all', async () => {
    await ok(['create', 'b.vsi', '4M', '-q']);
    const server = await startServing(place, ['--tls', 'require', '--tls-certificates', 'by-ours', '--port', '0'], {
      image: 'b.vsi',
    });
    const { port } = new URL(server.uri());
    const options = `driver=nbd,host=localhost,port=${port},tls-creds=tls0`;
    const credentials = `tls-creds-x509,id=tls0,endpoint=client,dir=${path('by-ours')}`;
    const commands = ['-c', 'write -q -P 7 1M 1M', '-c', 'flush', '-c', 'read -q -P 7 1M 1M'];
    await client('qemu-io', ['--object', credentials, ...commands, '--image-opts', options], inPlace);
    await server.stop();
    expect((await ok(['read', 'b.vsi', '--offset', '1M', '--length', '1'])).charCodeAt(0)).toBe(7);
  });

  it('takes only clients that its authority knows, if told so', async () => {
    const server = await startServing(
      place,
      ['--tls-verify-peer', '--tls', 'require', '--tls-certificates', 'by-ours', '--port', '0'],
      { stderr: TURNED_AWAY },
    );
    expect(await client('nbdinfo', ['--size', secure(server.uri('1'))])).toBe(`${4 * MIB}\n`);
    // It trusts our server, and shows what another authority signed.
    await client('cp', ['-r', 'by-others', 'stranger'], inPlace);
    await client('cp', ['ours-cert.pem', 'stranger/ca-cert.pem'], inPlace);
    await refusedClient('nbdinfo', ['--size', secure(server.uri('1'), 'stranger')]);
    rmSync(path('stranger/client-cert.pem'));
    rmSync(path('stranger/client-key.pem'));
    await refusedClient('nbdinfo', ['--size', secure(server.uri('1'), 'stranger')]);
    expect(await client('nbdinfo', ['--size', secure(server.uri('1'))])).toBe(`${4 * MIB}\n`);
  });
});

describe('--tls on', () => {
  it('serves by TLS who asks for it, and the others as ever', async () => {
    const server = await startServing(place, ['--tls', 'on', '--tls-certificates', 'by-ours']);
    expect(server.uri()).toMatch(/^nbd\+unix:/);
    const info = async (uri: string) => JSON.parse(await client('nbdinfo', ['--json', uri])).TLS;
    const hostname = 'tls-hostname=localhost';
    expect(await info(server.uri('1'))).toBe(false);
    expect(await info(`${secure(server.uri('1'))}&${hostname}`)).toBe(true);
  });
});

describe('TLS', () => {
  it('is for all clients where certificates are given, and nothing else is said', async () => {
    const server = await startServing(place, ['--tls-certificates', 'by-ours', '--port', '0']);
    expect(server.uri('1')).toMatch(/^nbds:/);
    expect(await refusedClient('nbdinfo', ['--size', plain(server.uri('1'))])).toMatch(/TLS|not supported/i);
    expect(await client('nbdinfo', ['--size', secure(server.uri('1'))])).toBe(`${4 * MIB}\n`);
  });

  it('without certificates, or with bad ones, is refused', async () => {
    const serve = ['serve', 'a.vsi', '--socket', 'no.sock'];
    expect(await fails(64, [...serve, '--tls', 'require'])).toContain('TLS needs certificates');
    expect(await fails(64, [...serve, '--tls', 'maybe'])).toContain("--tls is 'maybe'");
    expect(await fails(64, [...serve, '--tls', 'off', '--tls-certificates', 'by-ours'])).toContain('--tls is off');
    expect(await fails(66, [...serve, '--tls-certificates', 'no-such'])).toContain('server-cert.pem');
    await client('cp', ['-r', 'by-ours', 'mixed'], inPlace);
    await client('cp', ['by-others/server-key.pem', 'mixed/server-key.pem'], inPlace);
    expect(await fails(64, [...serve, '--tls-certificates', 'mixed'])).toContain("the certificates in 'mixed'");
  });

  it('is needed to listen where everybody is', async () => {
    const everywhere = ['serve', 'a.vsi', '--bind', '0.0.0.0', '--port', '0'];
    expect(await fails(64, everywhere)).toContain('everybody on the network could read the image');
    expect(await fails(64, [...everywhere, '--tls', 'on', '--tls-certificates', 'by-ours'])).toContain('--tls require');
    const server = await startServing(place, [
      ...everywhere.slice(2),
      '--tls',
      'require',
      '--tls-certificates',
      'by-ours',
    ]);
    const uri = server.uri('1').replace('0.0.0.0', 'localhost');
    expect(await client('nbdinfo', ['--size', secure(uri)])).toBe(`${4 * MIB}\n`);
  });
});
