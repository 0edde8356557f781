/**
 * Where a call comes from, as far as it can't be forged: the address that API Gateway saw, or, behind a proxy that
 * proves itself with a shared secret, the address that the proxy saw. Decides nothing about who may sign in.
 */
import { PROXY_SECRET_HEADER } from '../lib/aws/environment.ts';
import type { Clock } from '../lib/clock.ts';
import { ServiceError } from '../lib/errors.ts';
import { canonicalAddress, subscriberNetwork } from '../lib/ip-address.ts';
import { isSameSecret } from '../lib/user/password.ts';
import type { Call } from './http.ts';

/** A proxy in front of API Gateway. */
export interface TrustedProxy {
  /** The header, in lower case, in which it passes on the address of the client. */
  readonly addressHeader: string;
  /** The secret that it sends in PROXY_SECRET_HEADER. @throws ServiceError `storeUnavailable` */
  readonly readSecret: () => Promise<string>;
}

/**
 * CloudFront's header always ends with a port, also after an IPv6 address without brackets, which a short port would
 * seem to be a part of.
 * @see https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/adding-cloudfront-headers.html
 */
const VIEWER_ADDRESS = 'cloudfront-viewer-address';

/** The network that a call comes from (see `subscriberNetwork`); null if it is unknown. */
export type ReadSource = (call: Pick<Call, 'peerAddress' | 'header'>) => Promise<string | null>;

/** How long a secret counts without being read again, so that a stranger's guesses cost one read in that time. */
const SECRET_MS = 60_000;

/**
 * Creates the reader of sources. The header of the proxy counts only beside its secret; with a wrong one, with several,
 * or while the secret can't be read for the first time, the address that API Gateway saw counts.
 *
 * @param proxy null = there is none, and no header counts
 */
export function createSourceReader(proxy: TrustedProxy | null, clock: Clock): ReadSource {
  let known: { secret: string | null; readAt: number } | null = null;

  async function isProven(sent: string, { readSecret }: TrustedProxy): Promise<boolean> {
    const now = clock.now().getTime();
    // The clock may jump back.
    if (known === null || Math.abs(now - known.readAt) >= SECRET_MS) {
      let secret = known?.secret ?? null;
      try {
        secret = await readSecret();
      } catch (error) {
        // An outage ends neither the trust in the proxy nor the sign-ins.
        if (!(error instanceof ServiceError)) throw error;
      }
      known = { secret, readAt: now };
    }
    return known.secret !== null && isSameSecret(known.secret, sent);
  }

  return async ({ peerAddress, header }) => {
    const peer = addressIn(peerAddress);
    const sent = header(PROXY_SECRET_HEADER);
    if (proxy !== null && sent !== null && (await isProven(sent, proxy))) {
      const list = header(proxy.addressHeader) ?? '';
      const client = clientOf(proxy.addressHeader === VIEWER_ADDRESS ? withoutPort(list) : list, peer);
      if (client !== null) return subscriberNetwork(client);
    }
    return peer && subscriberNetwork(peer);
  };
}

/**
 * The address of the client in a list of hops: the last one, which the proxy itself has seen. Every hop further left is
 * what the client says, so it may be forged. API Gateway adds its own peer, that is the proxy, to `x-forwarded-for`,
 * but not with every kind of domain; so that address is cut off where it is the last.
 *
 * @see https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/X-Forwarded-For#selecting_an_ip_address
 * @see https://github.com/asfadmin/thin-egress-app/issues/380 (with its peer)
 * @see https://github.com/aws-powertools/powertools-lambda-python/issues/7288 (without; and a port at the peer)
 */
function clientOf(list: string, peer: string | null): string | null {
  // Equal headers are joined with commas, in their order (RFC 9110 section 5.3), so several are one list.
  const hops = list.split(',').map(addressIn);
  if (hops.length > 1 && hops.at(-1) === peer) hops.pop();
  return hops.at(-1) ?? null;
}

/** The address in `address`, `address:port`, `[v6]` or `[v6]:port`; null if there is none. */
function addressIn(text: string): string | null {
  const trimmed = text.trim();
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(trimmed) ?? [];
  return canonicalAddress(bracketed ?? trimmed) ?? canonicalAddress(withoutPort(trimmed));
}

function withoutPort(text: string): string {
  return text.replace(/:\d+$/, '');
}
