/**
 * IP addresses in one spelling, so that two texts can be compared. Knows neither names nor ports, and resolves nothing.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** The first twelve bytes of an IPv4 address that is written as an IPv6 address (RFC 4291 section 2.5.5.2). */
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/**
 * The address in its usual spelling: IPv6 shortened and in lower case (RFC 5952), an IPv4-mapped one as IPv4. A zone
 * (`%eth0`) stays as it is. Null if the text is not an IP address.
 */
export function canonicalAddress(text: string): string | null {
  if (isIPv4(text)) return text;
  if (!isIPv6(text)) return null;
  const [address = '', zone] = text.split('%', 2);
  // The URL standard serializes IPv6 addresses as RFC 5952 recommends.
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [, high, low] = MAPPED.exec(short) ?? [];
  if (high !== undefined && low !== undefined) {
    const bytes = Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex');
    return bytes.join('.');
  }
  return zone === undefined ? short : `${short}%${zone}`;
}

/**
 * The network that one subscriber has: an IPv4 address itself, an IPv6 address without its last 64 bits, as in
 * `2001:db8:0:1::/64`. Within a /64, a single host may use any address (RFC 4291 section 2.5.4, RFC 8981). Null if the
 * text is not an IP address.
 */
export function subscriberNetwork(text: string): string | null {
  const address = canonicalAddress(text)?.split('%', 1)[0];
  if (address === undefined) return null;
  if (isIPv4(address)) return address;
  const [before = '', after] = address.split('::', 2);
  const groups = (half: string) => (half === '' ? [] : half.split(':'));
  const behind = groups(after ?? '');
  const zeros = Array.from({ length: 8 - groups(before).length - behind.length }, () => '0');
  const network = [...groups(before), ...zeros, ...behind].slice(0, 4).join(':');
  return `${canonicalAddress(`${network}::`)}/64`;
}
