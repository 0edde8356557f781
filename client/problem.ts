/** What went wrong with a call, as an error. Knows problem documents (RFC 9457) and nothing of any particular call. */
import type { components } from './schema.ts';

type Schema = components['schemas']['Problem'];

/**
 * The stable name of a problem: one of the API's, or one of the client's own. `unreachable`: there was no answer;
 * `unexpectedAnswer`: the answer did not come from this API; `notSignedIn`: the caller has no session to call with.
 */
export type ProblemCode = Schema['code'] | 'unreachable' | 'unexpectedAnswer' | 'notSignedIn';

/** The members of a problem document that tell more than the status does. */
export interface ProblemDocument extends Pick<Schema, 'detail' | 'advice' | 'errors' | 'runId' | 'requestId'> {
  readonly code: ProblemCode;
  /** Seconds to wait before the next attempt (RFC 9110, section 10.2.3). */
  readonly retryAfterSeconds?: number;
}

/** A call that did not succeed. `status` is that of the answer (RFC 9110, section 15); 0 without an answer. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly document: ProblemDocument;

  constructor(status: number, document: ProblemDocument, cause?: unknown) {
    super(document.detail, { cause });
    this.status = status;
    this.document = document;
  }

  get code(): ProblemCode {
    return this.document.code;
  }

  /** Whether the same call may succeed later although nobody changes anything. */
  get retryable(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The problem that an unsuccessful answer tells of. @param body its parsed JSON, or its text */
export function readProblem(response: Response, body: unknown): Problem {
  const { code, detail, advice, errors, runId, requestId } = Object(body) as Partial<Schema>;
  const retryAfter = response.headers.get('retry-after') ?? '';
  const later = /^\d+$/.test(retryAfter) ? { retryAfterSeconds: Number(retryAfter) } : {};
  if (typeof code !== 'string' || typeof detail !== 'string') {
    const text = `${response.url} answered with status ${response.status} ${response.statusText}`.trim();
    return new Problem(response.status, { code: 'unexpectedAnswer', detail: text, ...later });
  }
  return new Problem(response.status, {
    code,
    detail,
    ...(advice !== undefined && { advice }),
    ...(errors !== undefined && { errors }),
    ...(runId !== undefined && { runId }),
    ...(requestId !== undefined && { requestId }),
    ...later,
  });
}
