/**
 * Holds requests against AWS's own service models: required and unknown members, types, lengths, ranges, patterns and
 * enumerations. Answers wrong ones as AWS does. Knows nothing of what the requests do.
 * @see https://smithy.io/2.0/spec/constraint-traits.html
 * @see https://botocore.amazonaws.com/v1/documentation/api/latest/reference/loaders.html (the source of the models)
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { readBody, type RequestHandler } from './http-api.ts';

/** A service with a model here, by its name in endpoints. */
export type ServiceName = 'dynamodb' | 'events' | 'lambda' | 'scheduler' | 'secretsmanager';

/** An operation of a service, and the name of its request's shape. */
export interface Operation {
  readonly method: string;
  /** A path with `{Name}` for each member that stands in it. */
  readonly uri: string;
  readonly input: string;
}

interface Member {
  readonly shape: string;
  /** undefined: the body. */
  readonly location?: 'uri' | 'querystring' | 'header';
  /** The name in that location. Default: the member's name. */
  readonly locationName?: string;
}

/** What a value must look like. */
export interface Shape {
  readonly type: string;
  readonly required?: readonly string[];
  readonly members?: Readonly<Record<string, Member>>;
  /** The shape of a list's items or a map's values. */
  readonly of?: string;
  /** The shape of a map's keys. */
  readonly key?: string;
  /** Shortest length of a text, blob, list or map; least value of a number. */
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  /** The member that is the whole body. */
  readonly payload?: string;
}

/** A service. With `targetPrefix` the header x-amz-target names the operation; else method and path do. */
export interface ServiceModel {
  readonly targetPrefix?: string;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly shapes: Readonly<Record<string, Shape>>;
}

/** A request as it was sent. */
export interface SentRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

/** AWS's refusal of a request, always with status 400. */
export interface Fault {
  readonly type: 'SerializationException' | 'UnknownOperationException' | 'ValidationException';
  readonly message: string;
}

/** Larger than any service takes. */
const LARGEST_BODY = 16 * 1024 * 1024 + 1;
const LARGEST_INTEGER = 2 ** 31 - 1;
/** The namespaces that DynamoDB puts before the names of its errors. */
const DYNAMODB_PREFIX = { ValidationException: 'com.amazon.coral.validate#', others: 'com.amazon.coral.service#' };

const { services } = JSON.parse(readFileSync(path.join(import.meta.dirname, 'service-models.json'), 'utf8')) as {
  readonly services: Readonly<Record<ServiceName, ServiceModel>>;
};

/** `handler` behind the model of its service, which answers wrong requests itself. */
export function checkRequests(service: ServiceName, handler: RequestHandler): RequestHandler {
  return async (request, response) => {
    const body = await readBody(request, LARGEST_BODY);
    // The service itself refuses what is too long.
    if (body === null) return handler(request, response);
    const { method = 'GET', url = '/', headers } = request;
    const fault = findFault(service, { method, url, headers, body });
    if (fault === null) return handler(request, response);
    const { type, message } = fault;
    const prefix = type === 'ValidationException' ? DYNAMODB_PREFIX[type] : DYNAMODB_PREFIX.others;
    response
      .writeHead(400, {
        'content-type': 'application/json',
        'x-amzn-errortype': type,
        'x-amzn-requestid': randomUUID(),
      })
      .end(JSON.stringify({ __type: service === 'dynamodb' ? prefix + type : type, message }));
  };
}

/** What is wrong with the request; null if nothing is. Tells no value, for it may be secret. */
export function findFault(service: ServiceName, request: SentRequest): Fault | null {
  const model = services[service];
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  const found = findOperation(model, request, pathname);
  if (found === null) {
    const asked = String(request.headers['x-amz-target'] ?? `${request.method} ${pathname}`);
    const message = `local/service-models.json has no operation ${asked}; add it to local/trim-service-models.ts`;
    return { type: 'UnknownOperationException', message };
  }
  const input = model.shapes[found.input]!;
  const body = readDocument(input, request.body);
  if (body === undefined) return { type: 'SerializationException', message: 'the body is not a JSON object' };

  const given: Record<string, unknown> = { ...body };
  for (const [name, { location, locationName = name }] of Object.entries(input.members ?? {})) {
    const values = {
      uri: found.names[locationName],
      querystring: searchParams.get(locationName) ?? undefined,
      header: request.headers[locationName.toLowerCase()],
    };
    if (location !== undefined) given[name] = values[location];
    else if (name === input.payload) given[name] = request.body;
  }
  return judge(check(model, found.input, given, ''));
}

interface Finding {
  readonly type: Fault['type'];
  readonly text: string;
}

function judge(findings: readonly Finding[]): Fault | null {
  const wrongType = findings.find(({ type }) => type === 'SerializationException');
  if (wrongType !== undefined) return { type: wrongType.type, message: wrongType.text };
  if (findings.length === 0) return null;
  const count = `${findings.length} validation error${findings.length === 1 ? '' : 's'} detected`;
  return { type: 'ValidationException', message: `${count}: ${findings.map(({ text }) => text).join('; ')}` };
}

function findOperation(
  { targetPrefix, operations }: ServiceModel,
  { method, headers }: SentRequest,
  pathname: string,
): { readonly input: string; readonly names: Readonly<Record<string, string>> } | null {
  if (targetPrefix !== undefined) {
    const [prefix, name = ''] = String(headers['x-amz-target'] ?? '').split('.');
    const operation = Object.hasOwn(operations, name) ? operations[name] : undefined;
    return prefix === targetPrefix && operation !== undefined ? { input: operation.input, names: {} } : null;
  }
  for (const operation of Object.values(operations)) {
    const pattern = operation.uri.replaceAll(/\{(\w+)\}/gu, '(?<$1>[^/]+)');
    const match = operation.method === method ? new RegExp(`^${pattern}$`, 'u').exec(pathname) : null;
    if (match !== null) {
      const names = Object.entries(match.groups ?? {}).map(([name, text]) => [name, decode(text)]);
      return { input: operation.input, names: Object.fromEntries(names) as Record<string, string> };
    }
  }
  return null;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The members in the body; undefined if it cannot be read. */
function readDocument({ payload }: Shape, body: Buffer): object | undefined {
  if (payload !== undefined || body.length === 0) return {};
  try {
    const document: unknown = JSON.parse(body.toString('utf8'));
    return isObject(document) ? document : undefined;
  } catch {
    return undefined;
  }
}

/** `at`: where the value stands, as AWS writes it: `entries.1.member.source`. */
function check(model: ServiceModel, name: string, value: unknown, at: string): Finding[] {
  const shape = model.shapes[name]!;
  const wrong = (constraint: string): Finding => ({
    type: 'ValidationException',
    text: `Value at '${at}' failed to satisfy constraint: Member must ${constraint}`,
  });
  if (!hasType(shape.type, value)) return [{ type: 'SerializationException', text: `'${at}' must be a ${shape.type}` }];
  const { min = -Infinity, max = Infinity, pattern, enum: names } = shape;
  const size = sizeOf(shape.type, value);
  const measure = typeof value === 'number' ? 'value' : 'length';
  const own = [
    size !== null && size < min ? wrong(`have ${measure} greater than or equal to ${min}`) : null,
    size !== null && size > max ? wrong(`have ${measure} less than or equal to ${max}`) : null,
    pattern !== undefined && !matches(pattern, value as string)
      ? wrong(`satisfy regular expression pattern: ${pattern}`)
      : null,
    names !== undefined && !names.includes(value as string)
      ? wrong(`satisfy enum value set: [${names.join(', ')}]`)
      : null,
  ];
  return [...own.filter((finding) => finding !== null), ...checkInside(model, shape, value, at)];
}

function checkInside(model: ServiceModel, shape: Shape, value: unknown, at: string): Finding[] {
  const below = (name: string): string => (at === '' ? '' : `${at}.`) + name;
  switch (shape.type) {
    case 'structure':
      return checkMembers(model, shape, value as Record<string, unknown>, below);
    case 'list':
      return (value as unknown[]).flatMap((item, index) => check(model, shape.of!, item, below(`${index + 1}.member`)));
    case 'map':
      return Object.entries(value as object).flatMap(([key, each]) => [
        ...check(model, shape.key!, key, below('key')),
        ...check(model, shape.of!, each, below(`${key}.member`)),
      ]);
    default:
      return [];
  }
}

function checkMembers(
  model: ServiceModel,
  { required = [], members = {} }: Shape,
  value: Readonly<Record<string, unknown>>,
  below: (name: string) => string,
): Finding[] {
  const given = Object.entries(value).filter(([, each]) => each !== undefined && each !== null);
  const absent = required.filter((name) => !given.some(([each]) => each === name));
  return [
    ...absent.map((name): Finding => {
      const text = `Value null at '${below(lowerFirst(name))}' failed to satisfy constraint: Member must not be null`;
      return { type: 'ValidationException', text };
    }),
    ...given.flatMap(([name, each]): Finding[] => {
      const at = below(lowerFirst(name));
      if (Object.hasOwn(members, name)) return check(model, members[name]!.shape, each, at);
      return [{ type: 'ValidationException', text: `'${at}' is not in the service model, and AWS would ignore it` }];
    }),
  ];
}

function hasType(type: string, value: unknown): boolean {
  switch (type) {
    case 'structure':
    case 'map':
      return isObject(value);
    case 'list':
      return Array.isArray(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return Number.isInteger(value) && Math.abs(value as number) <= LARGEST_INTEGER;
    case 'long':
      return Number.isSafeInteger(value);
    case 'double':
    case 'float':
    case 'timestamp':
      return typeof value === 'number';
    case 'blob':
      return Buffer.isBuffer(value) || (typeof value === 'string' && toBytes(value).toString('base64') === value);
    default:
      return typeof value === 'string';
  }
}

function sizeOf(type: string, value: unknown): number | null {
  if (typeof value === 'number') return value;
  if (type === 'blob' && typeof value === 'string') return toBytes(value).length;
  if (typeof value === 'string' || Array.isArray(value) || Buffer.isBuffer(value)) return value.length;
  return type === 'map' ? Object.keys(value as object).length : null;
}

function toBytes(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}

/** AWS demands that the whole text matches, also where the pattern does not say so. */
function matches(pattern: string, text: string): boolean {
  return new RegExp(`^(?:${pattern})$`, 'u').test(text);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
