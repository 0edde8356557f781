/**
 * One connection to one LDAP server, from name resolution to close. Every operation has a deadline. A connection that
 * misses one, breaks or receives invalid LDAP is destroyed and never used again. Decides nothing about results.
 *
 * It uses the message layer of ldapts and not its Client. The Client reconnects by itself (anonymously), drops the
 * entries received before an error, waits forever after invalid bytes, and treats the bind name "EXTERNAL" as a SASL
 * mechanism.
 */
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import * as net from 'node:net';
import * as tls from 'node:tls';
import {
  BindRequest,
  type Control,
  ExtendedRequest,
  type Filter as SearchFilter,
  PagedResultsControl,
  PresenceFilter,
  type SearchEntry,
  SearchRequest,
} from 'ldapts';
import { within } from '../deadline.ts';
import { ServiceError } from '../errors.ts';
import { certificatesIn } from '../settings/ca-certificates.ts';
import type { ServerAddress } from '../settings/server-address.ts';
import type { ConnectionSettings } from '../settings/settings.ts';
import { type Answer, startConversation } from './conversation.ts';
import { connectionLost, connectionTimeout, describeResult, networkFault, RESULT } from './fault.ts';
import { handshakeTimeout, tlsFault } from './tls-fault.ts';

const START_TLS_OID = '1.3.6.1.4.1.1466.20037'; // RFC 4511 section 4.14

/** Certificates read from a chain, at most. */
const MAX_CHAIN = 10;

/** How long one of several addresses is tried before the next one (RFC 8305 section 5, with time for slow links). */
const MIN_ATTEMPT_MS = 250;
const MAX_ATTEMPT_MS = 1000;

/** A search request (RFC 4511 section 4.5.1). */
export interface Search {
  readonly baseDn: string;
  readonly scope: 'base' | 'one' | 'sub';
  readonly filter: SearchFilter;
  readonly attributes: readonly string[];
  /** The most entries to return; 0 means no limit. Default 0. */
  readonly sizeLimit?: number;
  /** Requests one page (RFC 2696); the first one has an empty cookie. */
  readonly page?: { readonly size: number; readonly cookie: Buffer };
}

/** One certificate that a server sent. */
export interface ShownCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** The DNS names and IP addresses that it is valid for. */
  readonly names: readonly string[];
  readonly validTo: Date;
}

/** The certificates of a TLS handshake. */
export interface PeerCertificate {
  /** The server's own first, then the issuers that the server sent or that are trusted here. */
  readonly chain: readonly ShownCertificate[];
  /** Why the certificate is not trusted; null if it is. Only set if the settings ignore certificate warnings. */
  readonly warning: string | null;
}

/**
 * A connection that speaks LDAP. Methods reject with a ServiceError if no result arrived; they return every result,
 * success or not.
 */
export interface Connection {
  /** The server, as written in the settings. */
  readonly server: string;
  /** The IP address in use. */
  readonly address: string;
  /** The IP address and port in use, IPv6 in brackets. */
  readonly endpoint: string;
  /** null without encryption. */
  readonly certificate: PeerCertificate | null;
  /** Requests sent so far. */
  readonly requests: number;
  /** false once it has failed or was closed, and then forever. */
  readonly usable: boolean;
  /**
   * A simple bind. A name with an empty password is never sent (RFC 4513 section 5.1.2).
   * @throws TypeError for a name with an empty password
   */
  bind(name: string, password: string, withinMs: number, controls?: readonly Control[]): Promise<Answer>;
  /** Passes on each entry as it arrives, so entries received before a failure count. */
  search(search: Search, withinMs: number, onEntry: (entry: SearchEntry) => void): Promise<Answer>;
  /** Asks for a part of the root DSE. Whether any answer came, whatever it was; if none came, it is destroyed. */
  probe(withinMs: number): Promise<boolean>;
  /** Unbinds and closes the socket. Pending requests fail. */
  close(): Promise<void>;
  /** Closes the socket at once, without an unbind. Pending requests fail. */
  destroy(): void;
}

/**
 * The IP addresses of a server, in the order to try them in.
 * @throws ServiceError hostNotFound, connectionTimeout
 */
export type Resolve = (address: ServerAddress, withinMs: number) => Promise<readonly LookupAddress[]>;

/** Asks the operating system for the IP addresses of a server. */
export const resolveServer: Resolve = async (address, withinMs) => {
  try {
    return await within(lookup(address.host, { all: true }), withinMs, () => connectionTimeout(address.name, withinMs));
  } catch (error) {
    throw networkFault(error, address.name);
  }
};

/**
 * A TCP connection to the first address that answers.
 * @param onFailed called for each address that was given up before another one answered
 * @throws ServiceError connectionRefused, connectionTimeout, connectionLost
 */
export async function connectServer(
  address: ServerAddress,
  addresses: readonly LookupAddress[],
  withinMs: number,
  onFailed: (address: string) => void = () => {},
): Promise<net.Socket> {
  const attemptMs = Math.max(MIN_ATTEMPT_MS, Math.min(MAX_ATTEMPT_MS, Math.floor(withinMs / addresses.length)));
  const socket = net.connect({
    host: address.host,
    port: address.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: attemptMs,
    lookup: (_host, _options, answer) => answer(null, [...addresses]),
  });
  socket.on('connectionAttemptFailed', onFailed).on('connectionAttemptTimeout', onFailed);
  try {
    await within(once(socket, 'connect'), withinMs, () => connectionTimeout(address.name, withinMs));
  } catch (error) {
    socket.destroy();
    throw networkFault(error, address.name);
  } finally {
    // An error without a listener would end the process. The next user of the socket sees `close` instead.
    socket.on('error', () => {});
  }
  return socket;
}

/**
 * Starts LDAP on a new TCP connection, with the encryption of the settings. Owns the socket from then on and destroys
 * it on failure.
 * @throws ServiceError certificateRefused, tlsRefused, startTlsRefused, notLdap, connectionLost, connectionTimeout
 */
export async function secureConnection(
  address: ServerAddress,
  socket: net.Socket,
  settings: ConnectionSettings,
  withinMs: number,
): Promise<Connection> {
  const endsAt = performance.now() + withinMs;
  if (settings.encryption === 'none') return speakLdap(socket, address.name, null);
  let handshakeFrom = 0;
  try {
    if (settings.encryption === 'tls') await startTls(socket, address.name, withinMs);
    handshakeFrom = socket.bytesRead;
    // A host name is sent to the server and compared with its certificate. An IP address is only compared (RFC 6066
    // section 3).
    const name = net.isIP(address.host) === 0 ? { servername: address.host } : {};
    const secured = tls.connect({
      socket,
      host: address.host,
      ...name,
      ...(settings.caCertificates === '' ? {} : { ca: [...certificatesIn(settings.caCertificates)] }),
      rejectUnauthorized: !settings.ignoreCertificateWarnings,
    });
    const ended = new AbortController();
    const closed = once(secured, 'close', { signal: ended.signal }).then(() => {
      throw new Error('connection closed');
    });
    closed.catch(() => {});
    try {
      const handshake = Promise.race([once(secured, 'secureConnect'), closed]);
      await within(handshake, endsAt - performance.now(), () => handshakeTimeout(address.name, withinMs));
    } finally {
      ended.abort();
      secured.on('error', () => {});
    }
    return speakLdap(secured, address.name, readCertificate(secured));
  } catch (error) {
    socket.destroy();
    throw tlsFault(error, address.name, { settings, received: socket.bytesRead - handshakeFrom });
  }
}

/**
 * Resolves, connects and secures, within one deadline.
 * @throws ServiceError with the codes of the three steps
 */
export async function openConnection(
  address: ServerAddress,
  settings: ConnectionSettings,
  withinMs: number,
  resolve: Resolve = resolveServer,
): Promise<Connection> {
  const endsAt = performance.now() + withinMs;
  const addresses = await resolve(address, withinMs);
  const socket = await connectServer(address, addresses, endsAt - performance.now());
  return secureConnection(address, socket, settings, endsAt - performance.now());
}

async function startTls(socket: net.Socket, server: string, withinMs: number): Promise<void> {
  // A separate conversation: anything sent in clear text after the answer is dropped with it and can't be mistaken for
  // encrypted data.
  const conversation = startConversation(socket, server);
  const request = new ExtendedRequest({ messageId: 0, oid: START_TLS_OID });
  const { status, diagnostic } = await conversation.send(request, withinMs, 'StartTLS');
  conversation.detach();
  if (status !== RESULT.success) {
    throw new ServiceError('startTlsRefused', `${server}: StartTLS returned ${describeResult(status, diagnostic)}`, {
      advice: 'Install a certificate on the server so that it supports StartTLS, or choose LDAPS.',
    });
  }
}

function readCertificate(socket: tls.TLSSocket): PeerCertificate {
  const chain: ShownCertificate[] = [];
  let next: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next?.subject !== undefined && chain.length < MAX_CHAIN) {
    const { subject, issuer, valid_to, subjectaltname = '', issuerCertificate }: tls.DetailedPeerCertificate = next;
    chain.push({
      subject: nameOf(subject),
      issuer: nameOf(issuer),
      names: [...subjectaltname.matchAll(/(?:DNS|IP Address):([^,\s]+)/g)].map(([, name]) => name!),
      validTo: new Date(valid_to),
    });
    // A root certificate is its own issuer.
    next = issuerCertificate === next ? undefined : issuerCertificate;
  }
  return { chain, warning: socket.authorized ? null : String(socket.authorizationError) };
}

function nameOf(part: tls.PeerCertificate['subject'] | undefined): string {
  return [part?.CN ?? part?.O ?? 'unnamed'].flat().join(', ');
}

/** An IP address and a port as text, IPv6 in brackets. */
export function formatEndpoint(address: string, port: number): string {
  return net.isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

function speakLdap(socket: net.Socket, server: string, certificate: PeerCertificate | null): Connection {
  const conversation = startConversation(socket, server);
  const address = socket.remoteAddress ?? '';
  return {
    server,
    address,
    endpoint: formatEndpoint(address, socket.remotePort ?? 0),
    certificate,
    get requests() {
      return conversation.sent;
    },
    get usable() {
      return conversation.usable;
    },
    bind(name, password, withinMs, controls = []) {
      if (name !== '' && password === '') throw new TypeError('a bind with a name needs a password');
      const request = new BindRequest({ messageId: 0, dn: name, password, controls: [...controls] });
      return conversation.send(request, withinMs, 'a bind');
    },
    search({ baseDn, scope, filter, attributes, sizeLimit = 0, page }, withinMs, onEntry) {
      const controls = page === undefined ? [] : [new PagedResultsControl({ value: page })];
      const request = new SearchRequest({
        messageId: 0,
        baseDN: baseDn,
        scope,
        derefAliases: 'never',
        filter,
        attributes: [...attributes],
        sizeLimit,
        // The server's own limit applies. Ours is `withinMs`, which ends the connection and with it the search. Some
        // servers apply a limit sent here to all pages together.
        timeLimit: 0,
        controls,
      });
      return conversation.send(request, withinMs, 'a search', onEntry);
    },
    async probe(withinMs) {
      const request = new SearchRequest({
        messageId: 0,
        baseDN: '',
        scope: 'base',
        filter: new PresenceFilter({ attribute: 'objectClass' }),
        attributes: ['1.1'],
      });
      try {
        await conversation.send(request, withinMs, 'a probe');
        return true;
      } catch (error) {
        if (error instanceof ServiceError) return false;
        throw error;
      }
    },
    close: () => conversation.close(),
    destroy: () => conversation.fail(connectionLost(server, 'the connection was aborted')),
  };
}
