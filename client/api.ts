/**
 * The administration API of one deployment over HTTP, typed by its description, for Node and for browsers. Knows how
 * the API is addressed and how it reports problems; the meaning of the calls is left to the callers.
 */
import createClient, { type ParamsOption } from 'openapi-fetch';
import { Problem, readProblem } from './problem.ts';
import type { paths } from './schema.ts';

type Method = 'get' | 'put' | 'post' | 'patch' | 'delete';
type PathWith<M extends Method> = {
  [Path in keyof paths]: paths[Path] extends Record<M, object> ? Path : never;
}[keyof paths];

// openapi-fetch derives types of bodies and answers too, but spoils readonly arrays.
type Json<Content> = Content extends { readonly content: { readonly 'application/json': infer Document } }
  ? Document
  : undefined;
type Body<Operation> = Operation extends { readonly requestBody: infer Content }
  ? { readonly body: Json<Content> }
  : Operation extends { readonly requestBody?: infer Content }
    ? { readonly body?: Json<NonNullable<Content>> }
    : { readonly body?: never };

type Options<Operation> = ParamsOption<Operation> & Body<Operation> & { readonly signal?: AbortSignal };
/** The options of a call; they may be left out where none is required. */
type Arguments<Operation> = object extends Options<Operation> ? [Options<Operation>?] : [Options<Operation>];

type Success = 200 | 201 | 202 | 204;
type Data<M extends Method, Path extends PathWith<M>> = paths[Path][M] extends { readonly responses: infer Responses }
  ? { [Status in keyof Responses & Success]: Json<Responses[Status]> }[keyof Responses & Success]
  : never;

/**
 * Makes a call. Gives the document of the answer; undefined where the answer has none.
 * @throws Problem when the call does not succeed; the reason of `signal` when that was aborted
 */
type Call<M extends Method> = <Path extends PathWith<M>>(
  path: Path,
  ...options: Arguments<paths[Path][M]>
) => Promise<Data<M, Path>>;

/** The paths that give a list page by page: their query takes the `next` of the page before. */
type ListPath = {
  [Path in PathWith<'get'>]: paths[Path]['get'] extends { readonly parameters: { readonly query?: infer Query } }
    ? Query extends { readonly next?: string }
      ? Path
      : never
    : never;
}[PathWith<'get'>];

export interface Versioned<Document> {
  readonly document: Document;
  /** The entity tag without its quotes; null where there is none. See `formatEntityTag`. */
  readonly version: string | null;
}

export interface Api {
  readonly url: string;
  readonly get: Call<'get'>;
  readonly put: Call<'put'>;
  readonly post: Call<'post'>;
  readonly patch: Call<'patch'>;
  readonly delete: Call<'delete'>;
  /** As `get`, with the version of the document for a later `If-Match`. @throws as `get` */
  readVersioned<Path extends PathWith<'get'>>(
    path: Path,
    ...options: Arguments<paths[Path]['get']>
  ): Promise<Versioned<Data<'get', Path>>>;
  /**
   * Reads pages until there are `count` items, or no more, and gives them as one page. Its `next` is null when the list
   * ends there. @throws as `get`
   */
  list<Path extends ListPath>(
    path: Path,
    count: number,
    ...options: Arguments<paths[Path]['get']>
  ): Promise<Data<'get', Path>>;
}

export interface ApiOptions {
  /** Origin of the deployment, with the path before `/api` if there is one. */
  readonly url: string;
  /** Of a session; null to call without one, or with the cookie that the browser keeps. */
  readonly token: string | null;
  /** For one call. The default is longer than the longest call of the API, which takes 25 s. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 35_000;
/** Some lists have shorter pages; those with longer ones are walked in pages of this length. */
const PAGE_LENGTH = 100;

/** Options and answers as they are for every operation. */
interface AnyOptions {
  readonly params?: { readonly query?: object };
  readonly signal?: AbortSignal;
}
type AnyRequest = (
  method: Method,
  path: string,
  options: AnyOptions & { readonly parseAs: 'text' },
) => Promise<{ readonly data?: string; readonly error?: unknown; readonly response: Response }>;
interface AnyPage {
  readonly items: readonly unknown[];
  readonly next: string | null;
}

export function createApi({ url, token, timeoutMs = DEFAULT_TIMEOUT_MS }: ApiOptions): Api {
  const client = createClient<paths>({
    baseUrl: url,
    headers: { accept: 'application/json', ...(token !== null && { authorization: `Bearer ${token}` }) },
    pathSerializer: formatPath,
    // Passwords and tokens go to the address that was named, and nowhere else.
    redirect: 'error',
  });
  const request = client.request as unknown as AnyRequest;

  async function send(method: Method, path: string, { signal, ...options }: AnyOptions) {
    const timeout = AbortSignal.timeout(timeoutMs);
    const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    try {
      return await request(method, path, { ...options, signal: either, parseAs: 'text' });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      const detail = timeout.aborted
        ? `${url} did not answer within ${timeoutMs / 1000} seconds`
        : `${url} can't be reached: ${describeFailure(cause)}`;
      throw new Problem(0, { code: 'unreachable', detail }, cause);
    }
  }

  async function exchange(method: Method, path: string, options: AnyOptions = {}): Promise<Versioned<unknown>> {
    const { data: text = '', error, response } = await send(method, path, options);
    if (!response.ok) throw readProblem(response, error);
    const version = response.headers.get('etag')?.replaceAll('"', '') ?? null;
    if (text === '') return { document: undefined, version };
    try {
      return { document: JSON.parse(text), version };
    } catch (cause) {
      const detail = `${url} answered with something other than JSON`;
      const advice = 'Check that this is the address of the administration API.';
      throw new Problem(response.status, { code: 'unexpectedAnswer', detail, advice }, cause);
    }
  }

  const call = (method: Method) => async (path: string, options?: AnyOptions) =>
    (await exchange(method, path, options)).document;

  async function list(path: string, count: number, options: AnyOptions = {}): Promise<AnyPage> {
    const items: unknown[] = [];
    let next: string | null = null;
    do {
      const limit = Math.min(count - items.length, PAGE_LENGTH);
      const query = { ...options.params?.query, limit, ...(next !== null && { next }) };
      const { document } = await exchange('get', path, { ...options, params: { ...options.params, query } });
      const page = document as AnyPage;
      items.push(...page.items);
      ({ next } = page);
    } while (next !== null && items.length < count);
    return { items, next };
  }

  // The types of Api hold path, options and document together; at run time they are all the same.
  return {
    url,
    get: call('get'),
    put: call('put'),
    post: call('post'),
    patch: call('patch'),
    delete: call('delete'),
    readVersioned: (path: string, options?: AnyOptions) => exchange('get', path, options),
    list,
  } as unknown as Api;
}

/** A version as `If-Match` takes it (RFC 9110, section 8.8.3). */
export function formatEntityTag(version: string): string {
  return `"${version}"`;
}

/**
 * A user name as one segment of a path. Names of other characters than letters, digits and `.@_-`, and those that begin
 * with a dot, become `~` and the base64url of their UTF-8, because gateways decode paths before the API sees them.
 */
export function encodeUserName(userName: string): string {
  if (/^[A-Za-z0-9@_-][A-Za-z0-9.@_-]*$/.test(userName)) return userName;
  const bytes = Array.from(new TextEncoder().encode(userName), (byte) => String.fromCharCode(byte));
  return `~${btoa(bytes.join('')).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
}

function formatPath(path: string, values: Readonly<Record<string, unknown>>): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(values[name]);
    return name === 'userName' ? encodeUserName(value) : encodeURIComponent(value);
  });
}

/** Node keeps the reason of a failed fetch, with its code, as the cause. */
function describeFailure(error: unknown): string {
  const { cause = error } = error as Error;
  const { code, message } = cause as { readonly code?: string; readonly message?: string };
  return code ?? message ?? String(cause);
}
