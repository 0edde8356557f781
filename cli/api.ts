/**
 * The administration API of one deployment, over HTTP. Knows its problem documents and how it is addressed; what the calls
 * mean is for the commands.
 */

/** What an answer that is none, or a refusal, tells. */
export interface ProblemDocument {
  /** As the API names it, or `unreachable`, `unexpectedAnswer`, `notSignedIn` of this program's own. */
  readonly code: string;
  readonly detail: string;
  readonly advice?: string;
  /** Every fault of a refused document. */
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
  /** The run that is in the way. */
  readonly runId?: string;
}

/** A call that was not answered with success. `status` is 0 where there was no answer at all. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly document: ProblemDocument;

  constructor(status: number, document: ProblemDocument, cause?: unknown) {
    super(document.detail, { cause });
    this.status = status;
    this.document = document;
  }

  /** Whether the same call may succeed later without anybody changing anything. */
  get passes(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export interface Page<T> {
  readonly items: readonly T[];
  /** Where to go on; null at the end. */
  readonly next: string | null;
}

export interface Versioned<T> {
  readonly document: T;
  /** The entity tag, without its quotes; null where there is none. */
  readonly version: string | null;
}

interface Request {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Api {
  readonly url: string;
  /** The answer's document; undefined where it has none. @throws Problem */
  call<T>(method: string, path: string, request?: Request): Promise<T>;
  /** @throws Problem */
  read<T>(path: string): Promise<Versioned<T>>;
  /** Reads pages until there are `count` items, or no more. @throws Problem */
  list<T>(path: string, count: number, query?: Request['query']): Promise<Page<T>>;
}

/** The longest call of the API takes 25 s. */
const PATIENCE_MS = 35_000;
/** No list has longer pages than this, some have shorter ones. */
const LONGEST_PAGE = 100;

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

/**
 * The address of a deployment in the one form it is kept in; null where it can't be one. Without encryption only this machine
 * is spoken to: passwords and session tokens would cross the network for everybody to read.
 */
export function parseDeploymentUrl(text: string): string | null {
  const url = URL.parse(text.trim());
  if (url === null || url.username !== '' || url.password !== '') return null;
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && LOOPBACK.test(url.hostname))) return null;
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

/**
 * The path of a user. Names with anything but letters, digits and `.@_-` are written as `~` and the base64url of their UTF-8,
 * because gateways decode paths before the API sees them.
 */
export function userPath(userName: string): string {
  const isPlain = /^[A-Za-z0-9@_-][A-Za-z0-9.@_-]*$/.test(userName);
  return `/api/users/${isPlain ? userName : `~${Buffer.from(userName).toString('base64url')}`}`;
}

/** @param token of a session; null to call without one */
export function createApi(url: string, token: string | null): Api {
  async function send(method: string, path: string, { body, query = {}, headers = {}, signal }: Request = {}) {
    const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const search = given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
    const patience = AbortSignal.timeout(PATIENCE_MS);
    try {
      const response = await fetch(`${url}${path}${search}`, {
        method,
        headers: {
          accept: 'application/json',
          ...(token !== null && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        // Password and token go to the address that was named, and nowhere else.
        redirect: 'error',
        signal: signal ? AbortSignal.any([signal, patience]) : patience,
      });
      return { response, text: await response.text() };
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new Problem(0, unreachable(url, cause), cause);
    }
  }

  async function exchange<T>(method: string, path: string, request?: Request): Promise<Versioned<T>> {
    const { response, text } = await send(method, path, request);
    const document = parseJson(text);
    if (!response.ok) throw new Problem(response.status, readProblem(response, document));
    if (text !== '' && document === undefined) {
      const detail = `${url} answered with something that is no JSON`;
      throw new Problem(response.status, {
        code: 'unexpectedAnswer',
        detail,
        advice: 'Is this the address of the administration API?',
      });
    }
    return { document: document as T, version: response.headers.get('etag')?.replaceAll('"', '') ?? null };
  }

  const call = async <T>(method: string, path: string, request?: Request): Promise<T> =>
    (await exchange<T>(method, path, request)).document;

  return {
    url,
    call,
    read: (path) => exchange('GET', path),
    async list<T>(path: string, count: number, query: Request['query'] = {}): Promise<Page<T>> {
      const items: T[] = [];
      let next: string | null = null;
      do {
        const limit = String(Math.min(count - items.length, LONGEST_PAGE));
        const page: Page<T> = await call('GET', path, { query: { ...query, limit, next: next ?? undefined } });
        items.push(...page.items);
        ({ next } = page);
      } while (next !== null && items.length < count);
      return { items, next };
    },
  };
}

function unreachable(url: string, cause: unknown): ProblemDocument {
  if (cause instanceof Error && cause.name === 'TimeoutError') {
    return { code: 'unreachable', detail: `${url} has not answered within ${PATIENCE_MS / 1000} seconds` };
  }
  const { cause: reason = cause } = cause as Error;
  const { code, message } = reason as NodeJS.ErrnoException;
  return { code: 'unreachable', detail: `${url} can't be reached: ${code ?? message}` };
}

function readProblem(response: Response, document: unknown): ProblemDocument {
  const { code, detail, advice, errors, runId } = (document ?? {}) as Partial<ProblemDocument>;
  const seconds = response.headers.get('retry-after');
  const later = seconds === null ? undefined : `Try again in ${seconds} seconds.`;
  if (typeof code !== 'string' || typeof detail !== 'string') {
    const text = `${response.url} answered with status ${response.status} ${response.statusText}`.trim();
    return { code: 'unexpectedAnswer', detail: text, ...(later && { advice: later }) };
  }
  const wanted = advice ?? later;
  return {
    code,
    detail,
    ...(wanted && { advice: wanted }),
    ...(errors && { errors }),
    ...(runId && { runId }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
