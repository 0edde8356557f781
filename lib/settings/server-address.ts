/** Addresses of directory servers as written in the settings. Resolves no name and connects to nothing. */
import { isIPv4, isIPv6 } from 'node:net';
import type { ConnectionSettings } from './settings.ts';

/** The address of a directory server. */
export interface ServerAddress {
  /** As written in the settings. */
  readonly name: string;
  /** DNS name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `fault`: what is wrong with the text, worded to follow the field name. */
export type ParsedServerAddress =
  | { readonly kind: 'address'; readonly address: ServerAddress }
  | { readonly kind: 'fault'; readonly fault: string };

/**
 * Parses `host`, `host:port`, `[v6]` or `[v6]:port`. The default port depends on the encryption: 636 for `ssl`, else
 * 389.
 */
export function parseServerAddress(name: string, encryption: ConnectionSettings['encryption']): ParsedServerAddress {
  const refuse = (fault: string): ParsedServerAddress => ({ kind: 'fault', fault });
  const text = name.trim();
  if (text === '') return refuse('must not be empty; write a DNS name or an IP address');
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
  if (scheme !== undefined) return refuse(`leave out ${scheme}; encryption is a separate setting`);
  if (isIPv6(text)) return refuse('put an IPv6 address in brackets, as in [2001:db8::1]');
  const match = /^(?:\[(?<ipv6>[^\]]*)\]|(?<host>[^:[\]]*))(?::(?<port>[^:]*))?$/.exec(text)?.groups;
  if (!match) return refuse('must be a DNS name or an IP address, with :port if it is not the default port');
  const { ipv6, host = '', port } = match;
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    return refuse('must have a port within 1-65535');
  }
  const fault =
    ipv6 === undefined ? hostFault(host) : isIPv6(ipv6) ? null : 'must have an IPv6 address in the brackets';
  if (fault !== null) return refuse(fault);
  const usualPort = encryption === 'ssl' ? 636 : 389;
  return {
    kind: 'address',
    address: { name, host: ipv6 ?? host, port: port === undefined ? usualPort : Number(port) },
  };
}

function hostFault(host: string): string | null {
  if (/^[\d.]+$/.test(host)) return isIPv4(host) ? null : 'is not an IPv4 address';
  const name = host.replace(/\.$/, '');
  const isName = name.split('.').every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label));
  return isName && name.length <= 253 ? null : 'is not a DNS name; write an internationalized name in its xn-- form';
}
