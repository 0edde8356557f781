/**
 * A small LDAP server over real TCP that misbehaves in the way a test tells it to. It has its own BER code, so that a
 * fault of the client's library shows.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** Values by attribute name. */
export type Attributes = Readonly<Record<string, readonly (string | Uint8Array)[]>>;

/** A bind request. */
export interface BindAsked {
  readonly name: string;
  readonly password: string;
  /** The OIDs of the controls. */
  readonly controls: readonly string[];
}

/** A search request. */
export interface SearchAsked {
  readonly baseDn: string;
  readonly scope: 'base' | 'one' | 'sub';
  readonly sizeLimit: number;
  /** The BER bytes as sent. */
  readonly filter: Buffer;
  readonly attributes: readonly string[];
  /** The paged results control; null if the request has none. */
  readonly page: { readonly size: number; readonly cookie: string } | null;
}

/** Sends answers to one request. */
export interface Reply {
  /** Sends a search result entry. */
  entry(dn: string, attributes: Attributes): void;
  /** Sends a search result reference. */
  reference(...urls: readonly string[]): void;
  /**
   * Sends the result; `code` is 0 by default. `cookie` adds a paged results control: '' for the last page. Without
   * `cookie`, there is no control. `policy`: the value of a password policy control, in BER.
   */
  done(result?: {
    readonly code?: number;
    readonly diagnostic?: string;
    readonly cookie?: string;
    readonly policy?: Uint8Array;
  }): void;
  /** Sends raw bytes. */
  bytes(bytes: Uint8Array | string): void;
  /** Closes the connection after everything is sent. */
  hangUp(): void;
}

/** How the server answers. */
export interface Script {
  /** Default: OFFERS_PAGING. */
  readonly rootDse?: Attributes;
  /** Answers searches for the root DSE, instead of `rootDse`. */
  readonly root?: (asked: SearchAsked, reply: Reply) => void;
  /** Answers binds. Default: success. */
  readonly bind?: (asked: BindAsked, reply: Reply) => void;
  /** Answers every search except the one for the root DSE. Default: success without entries. */
  readonly search?: (asked: SearchAsked, reply: Reply) => void;
  /** Answers extended requests, for example StartTLS. Default: protocolError. */
  readonly extended?: (reply: Reply) => void;
  /** Receives all bytes, instead of the functions above. */
  readonly raw?: (data: Buffer, reply: Reply) => void;
}

/** A running server. */
export interface ScriptedServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** The kinds of all requests so far, in order: `bind`, `search`, `unbind`, `extended`. */
  readonly requests: readonly string[];
  /** Connections that are still open. */
  readonly openSockets: number;
  /** Closes all open connections at once. */
  dropConnections(): void;
  stop(): Promise<void>;
}

/** A root DSE with paging and one naming context, dc=example,dc=com. */
export const OFFERS_PAGING: Attributes = {
  namingContexts: ['dc=example,dc=com'],
  supportedControl: ['1.2.840.113556.1.4.319'],
  vendorName: ['OpenLDAP'],
};

/** The same with the password policy control. */
export const OFFERS_POLICY: Attributes = {
  ...OFFERS_PAGING,
  supportedControl: ['1.2.840.113556.1.4.319', '1.3.6.1.4.1.42.2.27.8.5.1'],
};

const POLICY_OID = '1.3.6.1.4.1.42.2.27.8.5.1';
const PAGED_RESULTS_OID = '1.2.840.113556.1.4.319';

/**
 * Starts the server. It reads `script` at every request, so a test may change it.
 * @param at the address to listen on; default: a free port of 127.0.0.1
 */
export async function startScriptedLdapServer(
  script: Script,
  at: { readonly host: string; readonly port: number } = { host: '127.0.0.1', port: 0 },
): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  let connections = 0;

  const server = createServer({ noDelay: true }, (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    let received: Buffer = Buffer.alloc(0);
    socket.on('data', (data) => {
      if (script.raw !== undefined) {
        script.raw(data, makeReply(socket, 0, 0));
        return;
      }
      received = Buffer.concat([received, data]);
      // After StartTLS the client starts a handshake; no script answers it.
      if (received[0] !== 0x30) received = Buffer.alloc(0);
      for (let message = readTlv(received, 0); message !== null; message = readTlv(received, 0)) {
        received = received.subarray(message.end);
        serve(message.value, socket);
      }
    });
  });

  function serve(message: Buffer, socket: Socket): void {
    const [id, operation, controls] = readAll(message);
    const messageId = readInteger(id!.value);
    const parts = operation!.tag === 0x42 ? [] : readAll(operation!.value);
    switch (operation!.tag) {
      case 0x60: {
        requests.push('bind');
        const reply = makeReply(socket, messageId, 0x61);
        const oids = readAll(controls?.value ?? Buffer.alloc(0)).map(({ value }) =>
          readAll(value)[0]!.value.toString(),
        );
        const asked = { name: parts[1]!.value.toString(), password: parts[2]!.value.toString(), controls: oids };
        if (script.bind === undefined) reply.done();
        else script.bind(asked, reply);
        return;
      }
      case 0x63: {
        requests.push('search');
        const reply = makeReply(socket, messageId, 0x65);
        const asked = readSearch(parts, controls?.value ?? Buffer.alloc(0));
        if (asked.baseDn === '' && asked.scope === 'base') {
          if (script.root !== undefined) return script.root(asked, reply);
          reply.entry('', script.rootDse ?? OFFERS_PAGING);
          reply.done();
        } else if (script.search === undefined) reply.done({ cookie: '' });
        else script.search(asked, reply);
        return;
      }
      case 0x77: {
        requests.push('extended');
        const reply = makeReply(socket, messageId, 0x78);
        if (script.extended === undefined) reply.done({ code: 2 });
        else script.extended(reply);
        return;
      }
      case 0x42:
        requests.push('unbind');
        socket.end();
        return;
      default:
        throw new Error(`unexpected LDAP request 0x${operation!.tag.toString(16)}`);
    }
  }

  server.listen(at.port, at.host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    requests,
    get openSockets() {
      return sockets.size;
    },
    dropConnections() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}

/** The bytes of a search result entry, for scripts that cut or change them. */
export function entryMessage(messageId: number, dn: string, attributes: Attributes): Buffer {
  const list = Object.entries(attributes).map(([type, values]) =>
    tlv(0x30, string(type), tlv(0x31, ...values.map((value) => tlv(0x04, Buffer.from(value as string))))),
  );
  return tlv(0x30, integer(messageId), tlv(0x64, string(dn), tlv(0x30, ...list)));
}

function makeReply(socket: Socket, messageId: number, resultTag: number): Reply {
  return {
    entry: (dn, attributes) => void socket.write(entryMessage(messageId, dn, attributes)),
    reference: (...urls) =>
      void socket.write(tlv(0x30, integer(messageId), tlv(0x73, ...urls.map((url) => string(url))))),
    done({ code = 0, diagnostic = '', cookie, policy } = {}) {
      const result = tlv(resultTag, tlv(0x0a, Buffer.from([code])), string(''), string(diagnostic));
      const sent = [
        ...(cookie === undefined ? [] : [[PAGED_RESULTS_OID, tlv(0x30, integer(0), string(cookie))] as const]),
        ...(policy === undefined ? [] : [[POLICY_OID, policy] as const]),
      ].map(([oid, value]) => tlv(0x30, string(oid), tlv(0x04, value)));
      const controls = sent.length === 0 ? [] : [tlv(0xa0, ...sent)];
      socket.write(tlv(0x30, integer(messageId), result, ...controls));
    },
    bytes: (bytes) => void socket.write(bytes),
    hangUp: () => void socket.end(),
  };
}

function readSearch(parts: readonly Tlv[], controls: Buffer): SearchAsked {
  const scopes = ['base', 'one', 'sub'] as const;
  const paged = readAll(controls)
    .map((control) => readAll(control.value))
    .find(([oid]) => oid!.value.toString() === PAGED_RESULTS_OID);
  const [size, cookie] = paged === undefined ? [] : readAll(readAll(paged.at(-1)!.value)[0]!.value);
  return {
    baseDn: parts[0]!.value.toString(),
    scope: scopes[readInteger(parts[1]!.value)]!,
    sizeLimit: readInteger(parts[3]!.value),
    filter: parts[6]!.value,
    attributes: readAll(parts[7]!.value).map(({ value }) => value.toString()),
    page: size === undefined ? null : { size: readInteger(size.value), cookie: cookie!.value.toString() },
  };
}

interface Tlv {
  readonly tag: number;
  readonly value: Buffer;
  readonly end: number;
}

function readTlv(bytes: Buffer, start: number): Tlv | null {
  const [tag, short] = [bytes[start], bytes[start + 1]];
  if (tag === undefined || short === undefined) return null;
  const lengthBytes = short < 0x80 ? 0 : short - 0x80;
  const from = start + 2 + lengthBytes;
  if (bytes.length < from) return null;
  const length = lengthBytes === 0 ? short : bytes.readUIntBE(start + 2, lengthBytes);
  return bytes.length < from + length ? null : { tag, value: bytes.subarray(from, from + length), end: from + length };
}

function readAll(bytes: Buffer): Tlv[] {
  const found: Tlv[] = [];
  for (let one = readTlv(bytes, 0); one !== null; one = readTlv(bytes, one.end)) found.push(one);
  return found;
}

function readInteger(bytes: Buffer): number {
  return bytes.readIntBE(0, bytes.length);
}

function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  const header = Buffer.alloc(6);
  header.writeUInt8(tag, 0);
  if (value.length < 0x80) return Buffer.concat([header.fill(value.length, 1, 2).subarray(0, 2), value]);
  header.writeUInt8(0x84, 1);
  header.writeUInt32BE(value.length, 2);
  return Buffer.concat([header, value]);
}

function string(text: string): Buffer {
  return tlv(0x04, Buffer.from(text));
}

function integer(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return tlv(0x02, bytes);
}
