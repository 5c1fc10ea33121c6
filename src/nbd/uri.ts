import type { Address } from './server.ts';

/** `nbd://host:port/name` or `nbd+unix:///name?socket=path`, with an `s` behind `nbd` where TLS is needed. */
export function exportUri(address: Address, name: string, { tls }: { readonly tls: boolean }): string {
  const scheme = tls ? 'nbds' : 'nbd';
  const path = encodeURIComponent(name).replaceAll('%2F', '/').replaceAll('%2B', '+');
  if (address.kind === 'unix')
    return `${scheme}+unix:///${path}?socket=${encodeURIComponent(address.path).replaceAll('%2F', '/')}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${scheme}://${host}:${address.port}/${path}`;
}
