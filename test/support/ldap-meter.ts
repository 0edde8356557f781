/** A TCP proxy in front of an LDAP server that counts what passes: requests of the client, bytes of the server. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface LdapMeter {
  readonly port: number;
  /** LDAP messages that clients have sent. */
  readonly requests: number;
  /** Bytes that the server has sent. */
  readonly answeredBytes: number;
  stop(): Promise<void>;
}

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

/** Counts the messages that begin in what it is given: SEQUENCE, length, content (RFC 4511 section 4.1.1). */
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

/** Of the message that the bytes begin with; null while they do not tell it. */
function messageLength(bytes: Buffer): number | null {
  const first = bytes[1];
  if (first === undefined) return null;
  if (first < 0x80) return 2 + first;
  const size = first & 0x7f;
  return bytes.length < 2 + size ? null : 2 + size + bytes.readUIntBE(2, size);
}
