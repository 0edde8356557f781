/**
 * Faults of a directory at one chosen LDAP message: a proxy in front of a real server that knows where messages begin
 * and end. Passes on everything else unchanged. Knows no entry.
 * @see https://www.rfc-editor.org/rfc/rfc4511 section 5.1
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** RFC 4511 section 4.1.9. */
const RESULT_CODES = {
  operationsError: 1,
  timeLimitExceeded: 3,
  sizeLimitExceeded: 4,
  adminLimitExceeded: 11,
  noSuchObject: 32,
  insufficientAccessRights: 50,
  busy: 51,
  unavailable: 52,
  unwillingToPerform: 53,
} as const;
type ResultName = keyof typeof RESULT_CODES;

const IN_THE_WAY = ['cut', 'cut in mid-message', 'hang', 'garbage', 'notice of disconnection'] as const;

/**
 * The kinds of faults. The first ones befall every message; a result code takes the place of a message from the server
 * and ends the request that the message belongs to.
 */
export const DIRECTORY_FAULTS: readonly DirectoryFault[] = [
  ...IN_THE_WAY,
  ...(Object.keys(RESULT_CODES) as ResultName[]),
];

/** The name of a kind of fault. */
export type DirectoryFault = (typeof IN_THE_WAY)[number] | ResultName;

/** Whether the fault is a result code, which only the server sends. */
export function isResultCode(fault: DirectoryFault): fault is ResultName {
  return fault in RESULT_CODES;
}

/** A fault at the message with this number, counted from 1 among those that it can befall. */
export interface DirectoryPoint {
  readonly fault: DirectoryFault;
  readonly at: number;
}

/** A running proxy. */
export interface DirectoryProxy {
  /** On 127.0.0.1. */
  readonly port: number;
  /** Begins to count messages anew, and waits for the point; null passes on everything. */
  arm(point: DirectoryPoint | null): void;
  /** Messages since `arm`: all, and those from the server. */
  readonly messages: () => { readonly all: number; readonly answers: number };
  /** Whether the fault has come. */
  readonly isHit: () => boolean;
  /** Closes all connections, as the end of the client's process does. */
  dropConnections(): void;
  stop(): Promise<void>;
}

const GARBAGE = Buffer.from('30840000000501020304', 'hex');
/** Message id 0, an extended response with unavailable (52) and the OID of the notice: RFC 4511 section 4.4.1. */
const NOTICE = tlv(
  0x30,
  tlv(0x02, Buffer.from([0])),
  tlv(
    0x78,
    tlv(0x0a, Buffer.from([52])),
    tlv(0x04),
    tlv(0x04, Buffer.from('going down')),
    tlv(0x8a, Buffer.from('1.3.6.1.4.1.1466.20036')),
  ),
);

/** Starts a proxy in front of a server on 127.0.0.1. */
export async function startDirectoryProxy(target: number): Promise<DirectoryProxy> {
  let point: DirectoryPoint | null = null;
  let counts = { all: 0, answers: 0 };
  let hit = false;
  const sockets = new Set<Socket>();

  /** Whether this message is the one. */
  function isPoint(fromServer: boolean): boolean {
    counts.all += 1;
    if (fromServer) counts.answers += 1;
    if (point === null || hit) return false;
    if (isResultCode(point.fault) && !fromServer) return false;
    hit = (isResultCode(point.fault) ? counts.answers : counts.all) === point.at;
    return hit;
  }

  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true });
    const ended = new Set<number>();
    let silent = false;
    const close = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        close();
      });
      socket.on('error', close);
    }

    function pass(message: Buffer, receiver: Socket): void {
      const fromServer = receiver === client;
      if (silent) return;
      if (fromServer && ended.has(messageIdOf(message))) return;
      if (!fromServer) shrinkPages(message);
      if (!isPoint(fromServer)) {
        receiver.write(message);
        return;
      }
      const { fault } = point!;
      if (isResultCode(fault)) {
        const id = messageIdOf(message);
        ended.add(id);
        client.write(resultMessage(id, resultTagFor(message), RESULT_CODES[fault]));
        return;
      }
      switch (fault) {
        case 'cut':
          close();
          return;
        case 'cut in mid-message':
          silent = true;
          receiver.end(message.subarray(0, Math.ceil(message.length / 2)), close);
          return;
        case 'hang':
          silent = true;
          return;
        case 'garbage':
          silent = true;
          client.write(GARBAGE);
          return;
        case 'notice of disconnection':
          silent = true;
          client.end(NOTICE, close);
          return;
      }
    }

    client.on(
      'data',
      frame((message) => pass(message, upstream)),
    );
    upstream.on(
      'data',
      frame((message) => pass(message, client)),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  function dropConnections(): void {
    for (const socket of sockets) socket.destroy();
  }

  return {
    port: (server.address() as AddressInfo).port,
    arm(next) {
      point = next;
      counts = { all: 0, answers: 0 };
      hit = false;
    },
    messages: () => ({ ...counts }),
    isHit: () => hit,
    dropConnections,
    async stop() {
      dropConnections();
      await once(server.close(), 'close');
    },
  };
}

/** The paged results control (RFC 2696) up to the size of the pages: two bytes, from 128 to 32,767. */
const PAGED_RESULTS = Buffer.from('1.2.840.113556.1.4.319');
const PAGE_SIZE = 20;

/** Makes a request for a large page one for a small page, so that a small directory has many pages. */
function shrinkPages(request: Buffer): void {
  const control = request.indexOf(PAGED_RESULTS);
  const size = control === -1 ? -1 : request.indexOf(Buffer.from([0x02, 0x02]), control + PAGED_RESULTS.length);
  if (size !== -1) request.writeUInt16BE(PAGE_SIZE, size + 2);
}

/** Collects bytes and hands over whole messages. */
function frame(take: (message: Buffer) => void): (data: Buffer) => void {
  let received: Buffer = Buffer.alloc(0);
  return (data) => {
    received = received.length === 0 ? data : Buffer.concat([received, data]);
    for (let length = lengthOf(received, 0); length !== null && length <= received.length;) {
      take(received.subarray(0, length));
      received = received.subarray(length);
      length = lengthOf(received, 0);
    }
  };
}

/** The length of the element at `start` with its header; null if the header is not there yet. */
function lengthOf(bytes: Buffer, start: number): number | null {
  const header = headerOf(bytes, start);
  return header === null ? null : header.from - start + header.length;
}

function headerOf(bytes: Buffer, start: number): { readonly from: number; readonly length: number } | null {
  const short = bytes[start + 1];
  if (short === undefined) return null;
  if (short < 0x80) return { from: start + 2, length: short };
  const from = start + 2 + (short - 0x80);
  return bytes.length < from ? null : { from, length: bytes.readUIntBE(start + 2, short - 0x80) };
}

function messageIdOf(message: Buffer): number {
  const { from } = headerOf(message, 0)!;
  const { from: value, length } = headerOf(message, from)!;
  return message.readUIntBE(value, length);
}

/** The tag of the result that ends the request which this answer belongs to: entries and references end in 0x65. */
function resultTagFor(answer: Buffer): number {
  const { from } = headerOf(answer, 0)!;
  const tag = answer[from + lengthOf(answer, from)!]!;
  return tag === 0x64 || tag === 0x73 ? 0x65 : tag;
}

function resultMessage(id: number, tag: number, code: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeInt32BE(id);
  const result = tlv(tag, tlv(0x0a, Buffer.from([code])), tlv(0x04), tlv(0x04, Buffer.from('injected')));
  return tlv(0x30, tlv(0x02, number), result);
}

/** An element of at most 127 bytes. */
function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag, value.length]), value]);
}
