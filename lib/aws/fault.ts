/**
 * Translates the errors of AWS SDK clients into the one fault that the core knows: an unavailable store. Does so inside
 * the client, so that no adapter can forget it. Errors that are answers (a failed condition) pass.
 */
import { ServiceError } from '../errors.ts';

/** Configuration of every client: retries, and time limits that end every wait. */
export const CLIENT_DEFAULTS = {
  maxAttempts: 6,
  retryMode: 'standard',
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
} as const;

/** Names of errors after which the same request may succeed. */
export const TRANSIENT_ERRORS: ReadonlySet<string> = new Set([
  'ThrottlingException',
  'ThrottlingError',
  'TooManyRequestsException',
  'ProvisionedThroughputExceededException',
  'ProvisionedThroughputExceeded',
  'RequestLimitExceeded',
  'InternalServerError',
  'InternalServiceError',
  'InternalFailure',
  'ServiceUnavailable',
  'TransactionConflict',
  'TransactionConflictException',
  'TransactionInProgressException',
]);

type Middleware = (next: (args: never) => Promise<never>) => (args: never) => Promise<never>;

interface Middlewares {
  readonly middlewareStack: {
    add(middleware: Middleware, options: { step: 'initialize'; priority: 'high'; name: string }): void;
    addRelativeTo(middleware: Middleware, options: { relation: 'after'; toMiddleware: string; name: string }): void;
  };
}

/**
 * Makes the client throw ServiceError `storeUnavailable` in place of the SDK's errors, and returns it.
 * @param answers names of the errors that pass, because the adapter handles them
 */
export function translateFaults<C>(client: C, service: string, answers: readonly string[]): C {
  (client as Middlewares).middlewareStack.add(
    (next) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        if (error instanceof Error && answers.includes(error.name)) throw error;
        throw storeUnavailable(service, error);
      }
    },
    { step: 'initialize', priority: 'high', name: 'translateFaults' },
  );
  return client;
}

/**
 * Makes the client throw a fault in place of an error that it would otherwise repeat the request for.
 * @param toFault the fault; null for an error that this is not about
 */
export function endRetries(client: object, toFault: (error: unknown) => ServiceError | null): void {
  (client as Middlewares).middlewareStack.addRelativeTo(
    (next) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        throw toFault(error) ?? error;
      }
    },
    { relation: 'after', toMiddleware: 'retryMiddleware', name: 'endRetries' },
  );
}

/**
 * The fault `storeUnavailable` for an error of the SDK, or for the name of one. A ServiceError is returned as it is.
 */
export function storeUnavailable(service: string, cause: unknown): ServiceError {
  if (cause instanceof ServiceError) return cause;
  const name = cause instanceof Error ? cause.name : String(cause);
  const status = (cause as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  // Without a status there was no response: a network fault.
  const retryable =
    TRANSIENT_ERRORS.has(name) || (cause instanceof Error ? status === undefined || status >= 500 : false);
  return new ServiceError('storeUnavailable', `${service} request failed: ${name}`, {
    cause,
    retryable,
    advice: retryable
      ? 'Try again later.'
      : `Deploy the stack again: ${service} refused a request that the deployment should allow.`,
  });
}
