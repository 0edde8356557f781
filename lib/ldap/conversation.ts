/**
 * Exchanges LDAP messages on a socket: numbers requests, sends them and matches the answers to them. A conversation
 * that misses a deadline, breaks or receives invalid LDAP can't be used again. Knows no operation.
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import {
  type Control,
  type Message,
  MessageParser,
  type MessageResponse,
  SearchEntry,
  SearchReference,
  UnbindRequest,
} from 'ldapts';
import { within } from '../deadline.ts';
import { ServiceError } from '../errors.ts';
import { connectionLost, connectionTimeout, describeResult, notLdap, operationTimeout } from './fault.ts';
import { closedUnheard, firstBytesFault, socketFault } from './tls-fault.ts';

/** The longest wait for the socket to close after an unbind. */
const CLOSE_MS = 500;

/** The result of a request that the server answered. */
export interface Answer {
  readonly status: number;
  readonly diagnostic: string;
  readonly controls: readonly Control[];
  /** The URLs of the search result references; empty unless the request was a search. */
  readonly references: readonly string[];
}

interface PendingRequest {
  readonly message: Message;
  readonly references: string[];
  readonly onEntry: ((entry: SearchEntry) => void) | undefined;
  readonly settle: (result: Answer | ServiceError) => void;
}

/** The messages of one socket. */
export interface Conversation {
  /** Requests sent so far. */
  readonly sent: number;
  /** false once it has failed or was closed, and then forever. */
  readonly usable: boolean;
  /**
   * Sends a request and waits for its answer.
   * @param what names the request in the fault of a missed deadline, for example "a bind"
   * @throws ServiceError operationTimeout, connectionLost, notLdap
   */
  send(message: Message, withinMs: number, what: string, onEntry?: (entry: SearchEntry) => void): Promise<Answer>;
  /** Fails every pending request with this fault and destroys the socket. Only the first call has an effect. */
  fail(fault: ServiceError): void;
  /** Stops listening, so that the socket can be used otherwise. */
  detach(): void;
  /** Unbinds and closes the socket. Pending requests fail. */
  close(): Promise<void>;
}

/** Starts the exchange. `server`: as written in the settings, for the messages of faults. */
export function startConversation(socket: Socket, server: string): Conversation {
  const parser = new MessageParser();
  const pending = new Map<string, PendingRequest>();
  let sent = 0;
  let failure: ServiceError | null = null;
  let heardBytes = false;
  let heardLdap = false;

  function fail(fault: ServiceError): void {
    if (failure !== null) return;
    failure = fault;
    socket.destroy();
    for (const request of pending.values()) request.settle(fault);
    pending.clear();
  }

  function onMessage(message: MessageResponse): void {
    heardLdap = true;
    // RFC 4511 section 4.4.1: message id 0 is the notice of disconnection.
    if (message.messageId === 0) {
      const words = describeResult(message.status, message.errorMessage);
      return fail(connectionLost(server, `the server sent a notice of disconnection: ${words}`));
    }
    const request = pending.get(`${message.messageId}`);
    if (request === undefined) return;
    if (message instanceof SearchEntry) return request.onEntry?.(message);
    if (message instanceof SearchReference) {
      request.references.push(...message.uris);
      return;
    }
    pending.delete(`${message.messageId}`);
    request.settle({
      status: message.status,
      diagnostic: message.errorMessage,
      controls: message.controls ?? [],
      references: request.references,
    });
  }

  function onData(data: Buffer): void {
    // Every LDAP message is a SEQUENCE (RFC 4511 section 4.1.1). Without this check, an HTTP answer would look like the
    // beginning of a long message.
    const strange = heardBytes ? null : firstBytesFault(data, server);
    if (strange !== null) return fail(strange);
    heardBytes = true;
    parser.read(data, pending);
  }

  function onEnd(): void {
    if (heardBytes) fail(connectionLost(server, 'the server closed the connection'));
    else fail(closedUnheard(server, socket instanceof TLSSocket));
  }

  function onError(error: Error): void {
    fail(socketFault(error, server, !heardBytes, socket instanceof TLSSocket));
  }

  parser.on('message', onMessage);
  parser.on('error', (error) => {
    // The parser drops the bytes after an invalid message, so nothing on this connection can be trusted any more.
    if (heardLdap) fail(connectionLost(server, 'the server sent a message that is not valid LDAP', error));
    else fail(notLdap(server, 'the service on this port does not speak LDAP', error));
  });
  socket.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd);

  return {
    get sent() {
      return sent;
    },
    get usable() {
      return failure === null && !socket.destroyed;
    },
    fail,
    send(message, withinMs, what, onEntry) {
      if (socket.destroyed) onEnd();
      if (failure !== null) return Promise.reject(failure);
      sent += 1;
      message.messageId = sent;
      return new Promise<Answer>((resolve, reject) => {
        const timer = setTimeout(() => fail(operationTimeout(server, what, withinMs)), Math.max(0, withinMs));
        pending.set(`${sent}`, {
          message,
          references: [],
          onEntry,
          settle(result) {
            clearTimeout(timer);
            if (result instanceof ServiceError) reject(result);
            else resolve(result);
          },
        });
        socket.write(message.write(), (error) => {
          if (error) onError(error);
        });
      });
    },
    detach() {
      socket.off('data', onData).off('error', onError).off('end', onEnd).off('close', onEnd);
    },
    async close() {
      if (failure !== null || socket.destroyed) return;
      const closed = once(socket, 'close');
      socket.end(new UnbindRequest({ messageId: sent + 1 }).write());
      socket.destroySoon();
      await within(closed, CLOSE_MS, () => connectionTimeout(server, CLOSE_MS)).catch(() => {});
      fail(connectionLost(server, 'the connection was closed'));
    },
  };
}
