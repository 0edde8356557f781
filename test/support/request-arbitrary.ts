/**
 * Requests to the administration API, generated from its description, valid and broken: types, lengths, Unicode,
 * nesting, unknown fields, headers, content types, paths and query strings. Knows the users and runs that the API under
 * test has, and no answer.
 */
import fc from 'fast-check';
import { encodeCursor } from '../../lib/cursor.ts';
import type { SentRequest } from './api-event.ts';
import { OPERATIONS, resolveReference } from './described.ts';
import type { Operation, Schema } from './described.ts';

/** A run that is over, and one that may be active. */
export const RUN_ID = '20260504T095000000Z-5f3a9c21';
export const ACTIVE_RUN_ID = '20260504T100000000Z-0b8f6c3e';

/** Password of the administrator, as in the examples of the description. */
export const PASSWORD = 'correct horse battery staple';

/** Placeholder for the token of the administrator's session, which is new in every test. */
export const TOKEN = 'TOKEN';

/** A request, and whether a run is active when it comes. */
export type Request = SentRequest & { readonly runActive: boolean };

// ------------------------------------------------------------------------------------------------ valid requests

const NAMES = ['admin', 'ada', 'anna', 'bob', 'nobody'];

const texts = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'grapheme', maxLength: 20 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...NAMES,
      '',
      ' ',
      '.',
      '..',
      '~',
      '%',
      '%00',
      '\0',
      '\u202E',
      '\uFFFD',
      '\uFEFF',
      'ſ',
      'İ',
      'ß',
      '\u0301',
      '👩‍👩‍👧',
      '__proto__',
      'constructor',
      'toString',
      'null',
      '0',
      '-1',
      'NaN',
      '1e3',
      '٣',
      'dc=example,dc=com',
      'uid',
      '(uid=*)',
      '127.0.0.1',
      '[::1]:389',
      'a@b',
      'rate(1 hour)',
      'cron(0 0 * * ? *)',
    ),
  },
);

/** Values that a schema of the description accepts. */
function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) return valuesOf(resolveReference(schema.$ref) as Schema);
  if (schema.anyOf !== undefined) return fc.oneof(...schema.anyOf.map(valuesOf));
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const { minimum = -1e6, maximum = 1e6 } = schema;
  switch (schema.type ?? 'any') {
    case 'string':
      return stringsOf(schema);
    case 'integer':
      return fc.integer({ min: minimum, max: maximum });
    case 'number':
      return fc.double({ min: minimum, max: maximum, noNaN: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: 4 });
    case 'object': {
      const properties = Object.entries(schema.properties ?? {}).map(([name, property]) => [name, valuesOf(property)]);
      return fc.record(Object.fromEntries(properties) as Record<string, fc.Arbitrary<unknown>>, {
        requiredKeys: [...(schema.required ?? [])],
      });
    }
    default:
      return fc.jsonValue();
  }
}

/** RFC 3339 knows no others. */
const FOUR_DIGIT_YEARS = {
  noInvalidDate: true,
  min: new Date('0000-01-01T00:00:00Z'),
  max: new Date('9999-12-31T23:59:59.999Z'),
};

function stringsOf({ format, pattern, minLength = 0, maxLength = Infinity }: Schema): fc.Arbitrary<string> {
  if (format === 'date-time') return fc.date(FOUR_DIGIT_YEARS).map((time) => time.toISOString());
  if (pattern !== undefined) return fc.emailAddress().filter((text) => new RegExp(pattern, 'u').test(text));
  return texts.filter((text) => Array.from(text).length >= minLength && Array.from(text).length <= maxLength);
}

/** Names and ids; most of them exist. */
const PATH_PARTS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  userName: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...NAMES) },
    { weight: 1, arbitrary: texts.filter((text) => text !== '').map(encodeLoosely) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }).map((b) => `~${Buffer.from(b).toString('base64url')}`) },
  ),
  id: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(RUN_ID, ACTIVE_RUN_ID) },
    { weight: 1, arbitrary: texts.filter((text) => text !== '').map(encodeLoosely) },
  ),
};

function encodeLoosely(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : text;
}

function pathsOf({ path }: Operation): fc.Arbitrary<string> {
  const parts = path
    .split('/')
    .map((part) => (part.startsWith('{') ? PATH_PARTS[part.slice(1, -1)]! : fc.constant(part)));
  return fc.tuple(...parts).map((chosen) => chosen.join('/'));
}

const LISTS: Readonly<Record<string, string>> = {
  '/api/users': 'users',
  '/api/runs': 'runs',
  '/api/runs/{id}/changes': `changes of ${RUN_ID}`,
};

/** Positions in the list at this address, now and then in another list. */
function cursorsOf(path: string): fc.Arbitrary<string> {
  const own = LISTS[path] ?? '';
  const lists = fc.constantFrom(own, own, own, ...Object.values(LISTS));
  return fc.tuple(lists, fc.oneof(texts, fc.nat().map(String))).map(([list, place]) => encodeCursor(list, place));
}

function queriesOf({ path, parameters }: Operation): fc.Arbitrary<string> {
  const named = parameters.filter(({ in: place }) => place === 'query');
  const values = named.map(({ name, schema }) => [
    name,
    name === 'next' ? cursorsOf(path) : valuesOf(schema).map(String),
  ]);
  return fc
    .record(Object.fromEntries(values) as Record<string, fc.Arbitrary<string>>, { requiredKeys: [] })
    .map((chosen) => new URLSearchParams(chosen as Record<string, string>).toString());
}

function documentsOf({ body }: Operation): fc.Arbitrary<unknown> {
  const { schema, example } = body!.content['application/json']!;
  return fc.oneof({ weight: 3, arbitrary: fc.constant(example) }, { weight: 1, arbitrary: valuesOf(schema) });
}

/** Requests of one call: most come from the administrator, and many are valid. */
function requestsOf(operation: Operation): fc.Arbitrary<Request> {
  const text =
    operation.body === null
      ? fc.constant(undefined)
      : fc.oneof(
          { weight: 2, arbitrary: documentsOf(operation).map((document) => JSON.stringify(document)) },
          { weight: 1, arbitrary: brokenDocumentsOf(operation).map((document) => JSON.stringify(document)) },
        );
  return fc
    .record({
      path: pathsOf(operation),
      query: queriesOf(operation),
      text,
      login: logins,
      ifMatch: entityTags,
      runActive: fc.boolean(),
    })
    .map(({ path, query, text, login, ifMatch, runActive }) => ({
      runActive,
      method: operation.method,
      path,
      query,
      ...(text !== undefined && { text }),
      ...(login.cookies && { cookies: login.cookies }),
      headers: {
        ...(text !== undefined && { 'content-type': 'application/json' }),
        ...login.headers,
        ...(ifMatch !== null && { 'if-match': ifMatch }),
      },
    }));
}

const SIGNED_IN = { headers: { authorization: `Bearer ${TOKEN}` } as Record<string, string> };

const logins = fc.oneof(
  { weight: 12, arbitrary: fc.constant({ ...SIGNED_IN, cookies: undefined }) },
  {
    weight: 2,
    arbitrary: fc.record({
      headers: fc.constantFrom<Record<string, string>>({}, { 'sec-fetch-site': 'same-origin' }, { origin: 'null' }),
      cookies: fc.constantFrom(['a=b', `session=${TOKEN}`], [`session=${TOKEN}`, 'session=x'], ['session'], []),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      headers: fc.oneof(
        fc.constant({}),
        texts.map((text) => ({ authorization: `Bearer ${text}` })),
        texts.map((text) => ({ authorization: text, origin: text, 'sec-fetch-site': text, 'x-forwarded-proto': text })),
      ),
      cookies: fc.array(texts, { maxLength: 3 }),
    }),
  },
);

const entityTags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(null) },
  { weight: 2, arbitrary: fc.constantFrom('"1"', '"version-1"', '*') },
  { weight: 1, arbitrary: fc.oneof(texts, fc.constantFrom('W/"1"', '"2"', '"1", "2"', '"'.repeat(9_000))) },
);

// ----------------------------------------------------------------------------------------------- broken requests

const junk: fc.Arbitrary<unknown> = fc.oneof(
  texts,
  fc.jsonValue(),
  // Longer than a body may be.
  fc.constant('x'.repeat(300_000)),
  fc.constantFrom(null, -1, 1.5, 1e308, 2 ** 53, true, [], {}),
  fc.constantFrom('x'.repeat(40_000), nested(2_000), Array(5_000).fill('a')),
);

function nested(depth: number): unknown {
  let value: unknown = 'deep';
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { value };
  return value;
}

const unknownFields = fc.constantFrom(
  'isAdmin',
  'id',
  'version',
  'passwordHash',
  '__proto__',
  'constructor',
  '',
  'a.b',
);

type Fault =
  | { readonly do: 'replace'; readonly by: unknown }
  | { readonly do: 'remove' }
  | { readonly do: 'repeat' }
  | { readonly do: 'add'; readonly field: string; readonly value: unknown };

const faults: fc.Arbitrary<Fault> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('replace' as const), by: junk }) },
  { weight: 1, arbitrary: fc.constant({ do: 'remove' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'repeat' as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('add' as const), field: unknownFields, value: junk }) },
);

/** Valid documents with one fault anywhere. */
function brokenDocumentsOf(operation: Operation): fc.Arbitrary<unknown> {
  return fc
    .tuple(documentsOf(operation), fc.nat(), faults)
    .map(([document, place, fault]) => breakDocument(structuredClone(document), place, fault));
}

type Container = Record<string, unknown>;

function breakDocument(document: unknown, place: number, fault: Fault): unknown {
  const places: [Container, string][] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null || places.length > 1_000) return;
    for (const [key, child] of Object.entries(node)) {
      places.push([node as Container, key]);
      visit(child);
    }
  };
  visit(document);
  const chosen = places[place % places.length];
  if (chosen === undefined) return fault.do === 'replace' ? fault.by : document;
  const [parent, key] = chosen;
  if (fault.do === 'replace') parent[key] = fault.by;
  if (fault.do === 'remove') delete parent[key];
  if (fault.do === 'repeat') parent[key] = [parent[key], parent[key]];
  // An assignment to "__proto__" would set the prototype.
  if (fault.do === 'add') {
    Object.defineProperty(parent, fault.field, { value: fault.value, enumerable: true, configurable: true });
  }
  return document;
}

/** Bodies that no JSON library would send. */
const rawBodies: fc.Arbitrary<{ readonly text?: string; readonly base64?: boolean }> = fc.oneof(
  texts.map((text) => ({ text })),
  fc.constant({}),
  fc
    .constantFrom(
      '{"userName":"x","userName":"y"}',
      '{"dryRun":tru',
      '\uFEFF{}',
      '{}{}',
      '[]',
      '7',
      '1e999',
      '"\\ud800"',
      'null',
      ...['[', '{"a":'].map((open) => open.repeat(40_000)),
      `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
      `{"userName":"${'x'.repeat(300_000)}"}`,
    )
    .map((text) => ({ text })),
  fc.uint8Array({ maxLength: 100 }).map((bytes) => ({ text: Buffer.from(bytes).toString('base64'), base64: true })),
  texts.map((text) => ({ text, base64: true })),
);

const contentTypes = fc.oneof(
  fc.constantFrom(
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'application/merge-patch+json',
    'text/plain',
    '',
    ';',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'application/json,text/html',
    'a/'.repeat(5_000),
  ),
  texts,
);

const rawPaths = fc.oneof(
  fc.webPath().map((path) => `/api${path}`),
  texts,
  texts.map((text) => `/api/users/${text}`),
  texts.map((text) => `/api/runs/${text}/changes`),
  fc.constantFrom(
    '',
    '/',
    '//',
    '/api',
    '/api/',
    '/api//users',
    '/api/users/',
    '/API/users',
    '/api/%75sers',
    '/api/../api/users',
  ),
  fc.constantFrom('/api/users/%zz', '/api/users/%ff', `/api/users/${'x'.repeat(10_000)}`, `/${'a/'.repeat(5_000)}`),
);

const rawQueries = fc.oneof(
  fc.webQueryParameters(),
  texts,
  fc.constantFrom(
    '__proto__=1',
    'limit=1&limit=2',
    'limit',
    '=',
    '&&&',
    '%',
    '%zz=%zz',
    'limit=%00',
    'next[]=a',
    'next=',
  ),
  fc.constantFrom('limit=9999999999999999999', 'limit=-1', 'limit=1.5', `search=${'%F0%9F%98%80'.repeat(2_000)}`),
);

const methods = fc.constantFrom(
  'GET',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'get',
  '__proto__',
);

const headers = fc.dictionary(
  fc.constantFrom('accept', 'host', 'origin', 'x-http-method-override', 'transfer-encoding', 'cookie', '__proto__'),
  texts,
);

/** Changes one thing about a request. */
const twists: fc.Arbitrary<(request: Request) => Request> = fc.oneof(
  rawBodies.map((raw) => ({ text: _text, ...request }: Request) => ({ ...request, ...raw })),
  contentTypes.map((type) => (request: Request) => ({
    ...request,
    headers: { ...request.headers, 'content-type': type },
  })),
  rawPaths.map((path) => (request: Request) => ({ ...request, path })),
  rawQueries.map((query) => (request: Request) => ({ ...request, query })),
  methods.map((method) => (request: Request) => ({ ...request, method })),
  headers.map((more) => (request: Request) => ({ ...request, headers: { ...request.headers, ...more } })),
);

/** Requests of every call: most from an administrator, half of them valid, and some that no client would send. */
export const requests: fc.Arbitrary<Request> = fc
  .oneof(
    ...OPERATIONS.map((operation) => ({
      // Calls that change something have more to get wrong.
      weight: operation.method === 'GET' ? 2 : 3,
      arbitrary: fc.constant(operation),
    })),
  )
  .chain(requestsOf)
  .chain((request) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(request) },
      { weight: 1, arbitrary: twists.map((twist) => twist(request)) },
    ),
  );
