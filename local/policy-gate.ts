/**
 * Stands before the stand-ins: finds out who calls, and refuses what the caller's role does not allow, as each service
 * does. A function is known by its access key, which names it. Every other caller is outside of the stack, such as the
 * login service or a developer: the policies of the stack say nothing of them, so they pass.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { readBody, type RequestHandler } from './http-api.ts';
import type { Authority, Caller } from './policy-authority.ts';
import type { ServiceReader } from './policy-services.ts';
import type { LocalFunction } from './template.ts';

/** Larger than any service takes. */
const LARGEST_BODY = 16 * 1024 * 1024 + 1;

/** How a service says no. */
export interface RefusalForm {
  readonly status: number;
  /** The namespace that the service puts before the name of the error, in the field `__type`; null: no such field. */
  readonly typePrefix: string | null;
}

/**
 * AWS JSON.
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
 * @see https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
 */
export const JSON_FORM: RefusalForm = { status: 400, typePrefix: '' };
/** DynamoDB, as above. */
export const DYNAMODB_FORM: RefusalForm = { status: 400, typePrefix: 'com.amazon.coral.service#' };
/**
 * REST JSON: Lambda and Scheduler.
 * @see https://docs.aws.amazon.com/scheduler/latest/APIReference/CommonErrors.html
 */
export const REST_FORM: RefusalForm = { status: 403, typePrefix: null };

/** Finds the caller of a request; null for callers outside of the stack. */
export type FindCaller = (request: IncomingMessage) => Caller | null;

/** Knows these functions by their access keys. */
export function createCallerFinder(functions: readonly Pick<LocalFunction, 'name' | 'role'>[]): FindCaller {
  const callers = new Map(functions.map(({ name, role }) => [name, toCaller({ name, role })]));
  return ({ headers: { authorization = '' } }) =>
    callers.get(/\bCredential=([^/,\s]+)\//u.exec(authorization)?.[1] ?? '') ?? null;
}

/** A function as a caller. AWS names the session of a role after the function. */
export function toCaller({ name, role }: Pick<LocalFunction, 'name' | 'role'>): Caller {
  return { kind: 'role', role, session: name };
}

/** `handler` behind the policies; `read` says what a request needs. */
export function guard(
  handler: RequestHandler,
  { findCaller, authority, read, form }: Gate & { readonly read: ServiceReader; readonly form: RefusalForm },
): RequestHandler {
  return async (request, response) => {
    const caller = findCaller(request);
    if (caller !== null) {
      const body = (await readBody(request, LARGEST_BODY)) ?? Buffer.alloc(0);
      const url = new URL(request.url ?? '/', 'http://localhost');
      const target = String(request.headers['x-amz-target'] ?? '');
      const calls = read({ method: request.method ?? 'GET', url, target, body });
      const refusal =
        calls === null ? unreadable(`${request.method} ${url.pathname} ${target}`) : authority.refusal(caller, calls);
      if (refusal !== null) {
        refuse(response, form, refusal);
        return;
      }
    }
    await handler(request, response);
  };
}

/** What every guarded service shares. */
export interface Gate {
  readonly findCaller: FindCaller;
  readonly authority: Authority;
}

/** The refusal of a request whose needs are unknown. */
export function unreadable(request: string): string {
  return `local/policy-*.ts cannot tell what this request needs, so it is refused: ${request.trim()}`;
}

/** Answers as the service does when IAM says no. */
export function refuse(response: ServerResponse, { status, typePrefix }: RefusalForm, message: string): void {
  const name = 'AccessDeniedException';
  const type = typePrefix === null ? {} : { __type: typePrefix + name };
  response
    .writeHead(status, { 'content-type': 'application/json', 'x-amzn-errortype': name })
    .end(JSON.stringify({ ...type, Message: message }));
}
