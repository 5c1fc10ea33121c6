import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../support/cli.ts';
import { NbdClient, OPT, optionBytes, REP } from '../support/nbd-client.ts';
import { type Serving, serve } from '../support/server.ts';
import { noise, type Workspace, workspace } from '../support/workspace.ts';

const run = promisify(execFile);
const directory = temporaryDirectory();
const path = (name: string): string => join(directory, name);

/** A pair `NAME-cert.pem` and `NAME-key.pem`, signed by `authority` or by itself. */
async function certify(name: string, authority?: string): Promise<void> {
  const files = ['-keyout', path(`${name}-key.pem`), '-out', path(`${name}-cert.pem`)];
  const by =
    authority === undefined ? [] : ['-CA', path(`${authority}-cert.pem`), '-CAkey', path(`${authority}-key.pem`)];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost'];
  await run('openssl', ['req', '-x509', ...key, '-days', '30', ...names, ...files, ...by]);
}

beforeAll(async () => {
  await certify('authority');
  await certify('stranger');
  await certify('server', 'authority');
  await certify('client', 'authority');
  copyFileSync(path('authority-cert.pem'), path('ca-cert.pem'));
});

async function served(argv: readonly string[]): Promise<{ readonly space: Workspace; readonly serving: Serving }> {
  const space = workspace();
  await space.ok(['create', 'disk.vsi', '1M']);
  await space.ok(['write', 'disk.vsi'], { stdin: noise(65_536, 1) });
  await space.ok(['commit', 'disk.vsi', '-m', 'one']);
  mkdirSync(space.path('run'));
  const serving = await serve(space.path('run'), space.path('disk.vsi'), {
    argv: ['--tls-certificates', directory, ...argv],
  });
  return { space, serving };
}

/** A client that has asked for TLS and got it; `owner` names the certificate that it shows. */
async function encrypted(serving: Serving, owner?: string): Promise<NbdClient> {
  const plain = connect({ path: serving.socket });
  const client = new NbdClient(plain);
  await client.greet();
  expect(await client.verdict(OPT.startTls)).toBe(REP.ack);
  plain.removeAllListeners('data');
  const file = (name: string): Buffer => readFileSync(path(`${name}.pem`));
  const shown = owner === undefined ? {} : { cert: file(`${owner}-cert`), key: file(`${owner}-key`) };
  return new NbdClient(connectTls({ socket: plain, ca: file('ca-cert'), servername: 'localhost', ...shown }));
}

describe('TLS', () => {
  it('serves as without it', async () => {
    const { serving } = await served(['--tls', 'require']);
    const client = await encrypted(serving);
    expect(await client.names()).toContain('1');
    await client.chooseStructured();
    await client.go('1');
    expect((await client.read(0, 65_536)).equals(noise(65_536, 1))).toBe(true);
    await client.leave();
    const again = await encrypted(serving);
    expect(await again.verdict(OPT.startTls)).toBe(REP.invalid);
    again.socket.destroy();
    expect(await serving.stop()).toBe(0);
    expect(serving.stderr()).toBe('');
  });

  it('with --tls-verify-peer lets in whom the authority knows, and nobody else', async () => {
    const { serving } = await served(['--tls', 'require', '--tls-verify-peer']);
    const known = await encrypted(serving, 'client');
    expect(await known.names()).toContain('1');
    for (const owner of [undefined, 'stranger']) {
      const other = await encrypted(serving, owner);
      other.send(optionBytes(OPT.list));
      expect((await other.rest()).length).toBe(0);
    }
    expect(await known.names()).toContain('1');
    expect(serving.stderr()).toMatch(/^vsimg: [^\n]+TLS[^\n]+\nvsimg: [^\n]+TLS[^\n]+\n$/);
  });

  it('gives up a client that says nonsense instead', async () => {
    const { serving } = await served(['--tls', 'on']);
    const noisy = serving.client();
    await noisy.greet();
    expect(await noisy.verdict(OPT.startTls)).toBe(REP.ack);
    noisy.send(noise(1000, 3));
    await noisy.rest();
    const plain = serving.client();
    await plain.open('1');
    expect((await plain.read(0, 4096)).equals(noise(65_536, 1).subarray(0, 4096))).toBe(true);
  });
});
