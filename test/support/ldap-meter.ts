/**
 * A TCP proxy in front of an LDAP server that counts the requests of clients and the bytes of the server. Knows no
 * operation.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A running proxy. */
export interface LdapMeter {
  /** On 127.0.0.1. */
  readonly port: number;
  /** LDAP messages that clients have sent so far. */
  readonly requests: number;
  /** Bytes that the server has sent so far. */
  readonly answeredBytes: number;
  stop(): Promise<void>;
}

/** Starts a proxy in front of a port on 127.0.0.1. */
export async function startLdapMeter(targetPort: number): Promise<LdapMeter> {
  const sockets = new Set<Socket>();
  let requests = 0;
  let answeredBytes = 0;
  const server = createServer((near) => {
    const far = connect(targetPort, '127.0.0.1');
    const countMessages = makeMessageCounter();
    near.on('data', (data) => {
      requests += countMessages(data);
    });
    far.on('data', (data) => {
      answeredBytes += data.length;
    });
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get requests() {
      return requests;
    },
    get answeredBytes() {
      return answeredBytes;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}

/** Counts the messages that are complete with the data: SEQUENCE, length, content (RFC 4511 section 4.1.1). */
function makeMessageCounter(): (data: Buffer) => number {
  let waiting = Buffer.alloc(0);
  return (data) => {
    waiting = Buffer.concat([waiting, data]);
    let count = 0;
    for (let length = messageLength(waiting); length !== null && length <= waiting.length;) {
      count += 1;
      waiting = waiting.subarray(length);
      length = messageLength(waiting);
    }
    return count;
  };
}

/** The length of the message at the start of the bytes; null if there are too few bytes to tell. */
function messageLength(bytes: Buffer): number | null {
  const first = bytes[1];
  if (first === undefined) return null;
  if (first < 0x80) return 2 + first;
  const size = first & 0x7f;
  return bytes.length < 2 + size ? null : 2 + size + bytes.readUIntBE(2, size);
}
