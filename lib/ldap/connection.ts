/**
 * One connection to one LDAP server, from the name lookup to the end. Everything on it has a deadline, and a connection that
 * missed one, broke or received what is not LDAP fails for good: it is destroyed and never used again.
 *
 * It stands on the message layer of ldapts and not on its Client, which reconnects by itself (anonymously), drops the entries
 * that came before an error, waits for ever when bytes are no LDAP, and takes a bind name "EXTERNAL" for a SASL mechanism.
 */
import { lookup } from 'node:dns/promises';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import * as net from 'node:net';
import * as tls from 'node:tls';
import {
  BindRequest,
  type Control,
  ExtendedRequest,
  type Filter as SearchFilter,
  PagedResultsControl,
  type SearchEntry,
  SearchRequest,
} from 'ldapts';

import { within } from '../deadline.ts';
import { ServiceError } from '../errors.ts';
import type { ServerAddress } from '../settings/server-address.ts';
import { type Answer, startConversation } from './conversation.ts';
import type { ConnectionSettings } from '../settings/settings.ts';
import { connectionLost, connectionTimeout, describeResult, networkFault, RESULT, tlsFault } from './fault.ts';

const START_TLS_OID = '1.3.6.1.4.1.1466.20037'; // RFC 4511 section 4.14

/** Certificates of a chain that are looked at. */
const MAX_CHAIN = 10;

export interface Search {
  readonly baseDn: string;
  readonly scope: 'base' | 'one' | 'sub';
  readonly filter: SearchFilter;
  readonly attributes: readonly string[];
  /** Entries wanted at most; 0 = no limit. Default 0. */
  readonly sizeLimit?: number;
  /** Asks for one page (RFC 2696). An empty cookie asks for the first. */
  readonly page?: { readonly size: number; readonly cookie: Buffer };
}

/** One certificate that a server has shown. */
export interface ShownCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** The DNS names and IP addresses it is made for. */
  readonly names: readonly string[];
  readonly validTo: Date;
}

/** What a server showed of itself in the TLS handshake. */
export interface PeerCertificate {
  /** The server's own first, then its issuers as far as the server sends them or this system knows them. */
  readonly chain: readonly ShownCertificate[];
  /** Why it would not be trusted; null when it is. Only ever set where certificate warnings are ignored. */
  readonly warning: string | null;
}

/** Methods reject with a ServiceError when no result came; a result other than success is an answer like any other. */
export interface Connection {
  /** As the settings name it. */
  readonly server: string;
  /** null on a connection without encryption. */
  readonly certificate: PeerCertificate | null;
  /** Requests sent so far. */
  readonly requests: number;
  /** false once it failed or was closed: there is no way back. */
  readonly usable: boolean;
  /**
   * A simple bind. An empty password is never sent with a name (RFC 4513 section 5.1.2): that throws a TypeError.
   */
  bind(name: string, password: string, withinMs: number, controls?: readonly Control[]): Promise<Answer>;
  /** Entries are handed over one by one as they arrive, also those before a failure. */
  search(search: Search, withinMs: number, onEntry: (entry: SearchEntry) => void): Promise<Answer>;
  /** Says goodbye. Requests under way fail. */
  close(): Promise<void>;
  destroy(): void;
}

/**
 * The addresses of a server.
 * @throws ServiceError hostNotFound, connectionTimeout
 */
export async function resolveServer(address: ServerAddress, withinMs: number): Promise<LookupAddress[]> {
  try {
    return await within(lookup(address.host, { all: true }), withinMs, () => connectionTimeout(address.name, withinMs));
  } catch (error) {
    throw networkFault(error, address.name);
  }
}

/**
 * A TCP connection to the first of the addresses that answers.
 * @throws ServiceError connectionRefused, connectionTimeout, connectionLost
 */
export async function connectServer(
  address: ServerAddress,
  addresses: readonly LookupAddress[],
  withinMs: number,
): Promise<net.Socket> {
  const socket = net.connect({
    host: address.host,
    port: address.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: 1000,
    lookup: (_host, _options, answer) => answer(null, [...addresses]),
  });
  try {
    await within(once(socket, 'connect'), withinMs, () => connectionTimeout(address.name, withinMs));
  } catch (error) {
    socket.destroy();
    throw networkFault(error, address.name);
  } finally {
    // An error without a listener would end the process; whoever uses the socket next sees its `close`.
    socket.on('error', () => {});
  }
  return socket;
}

/**
 * Speaks LDAP on a fresh TCP connection, after StartTLS or inside TLS where the settings say so. Takes the socket over: it is
 * destroyed when this fails.
 * @throws ServiceError certificateRefused, startTlsRefused, notLdap, connectionLost, connectionTimeout
 */
export async function secureConnection(
  address: ServerAddress,
  socket: net.Socket,
  settings: ConnectionSettings,
  withinMs: number,
): Promise<Connection> {
  const endsAt = performance.now() + withinMs;
  if (settings.encryption === 'none') return speakLdap(socket, address.name, null);
  try {
    if (settings.encryption === 'tls') await startTls(socket, address.name, withinMs);
    // A name is sent to the server and compared with its certificate; an address is only compared (RFC 6066 section 3).
    const name = net.isIP(address.host) === 0 ? { servername: address.host } : {};
    const secured = tls.connect({
      socket,
      host: address.host,
      ...name,
      ...(settings.caCertificates === '' ? {} : { ca: settings.caCertificates }),
      rejectUnauthorized: !settings.ignoreCertificateWarnings,
    });
    const ended = new AbortController();
    const closed = once(secured, 'close', { signal: ended.signal }).then(() => {
      throw connectionLost(address.name, 'the server closed the connection during the TLS handshake');
    });
    closed.catch(() => {});
    try {
      const handshake = Promise.race([once(secured, 'secureConnect'), closed]);
      await within(handshake, endsAt - performance.now(), () => connectionTimeout(address.name, withinMs));
    } finally {
      ended.abort();
      secured.on('error', () => {});
    }
    return speakLdap(secured, address.name, readCertificate(secured));
  } catch (error) {
    socket.destroy();
    throw tlsFault(error, address.name);
  }
}

/** The three steps in one, within one deadline. */
export async function openConnection(
  address: ServerAddress,
  settings: ConnectionSettings,
  withinMs: number,
): Promise<Connection> {
  const endsAt = performance.now() + withinMs;
  const addresses = await resolveServer(address, withinMs);
  const socket = await connectServer(address, addresses, endsAt - performance.now());
  return secureConnection(address, socket, settings, endsAt - performance.now());
}

async function startTls(socket: net.Socket, server: string, withinMs: number): Promise<void> {
  // A conversation of its own: what was sent in clear text behind the answer is thrown away with it, and can't pass for
  // something that came encrypted.
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
    // A root is its own issuer.
    next = issuerCertificate === next ? undefined : issuerCertificate;
  }
  return { chain, warning: socket.authorized ? null : String(socket.authorizationError) };
}

function nameOf(part: tls.PeerCertificate['subject'] | undefined): string {
  return [part?.CN ?? part?.O ?? 'unnamed'].flat().join(', ');
}

function speakLdap(socket: net.Socket, server: string, certificate: PeerCertificate | null): Connection {
  const conversation = startConversation(socket, server);
  return {
    server,
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
        // The server's own limit holds. Ours is `withinMs`, after which the connection ends and the search with it; some
        // servers count a limit sent here over all pages.
        timeLimit: 0,
        controls,
      });
      return conversation.send(request, withinMs, 'a search', onEntry);
    },
    close: () => conversation.close(),
    destroy: () => conversation.fail(connectionLost(server, 'the connection was aborted')),
  };
}
