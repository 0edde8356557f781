/**
 * Checks answers of the administration API against its description: address, status, headers, content type, and every
 * property of the body. Anything that is not described fails.
 */
import formats from 'ajv-formats';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { expect } from 'vitest';
import description from '../../functions/openapi.json' with { type: 'json' };

export interface DescribedParameter {
  readonly name: string;
  readonly in: string;
  readonly schema: Schema;
}

export interface DescribedBody {
  readonly required: boolean;
  readonly content: Readonly<Record<string, { readonly schema: Schema; readonly example: unknown }>>;
}

interface DescribedResponse {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, object>>;
}

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly DescribedParameter[];
  readonly body: DescribedBody | null;
  /** Whether it works without a session. */
  readonly open: boolean;
  readonly responses: Readonly<Record<string, DescribedResponse>>;
}

/** JSON Schema 2020-12, as far as the description uses it. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface Answered {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly cookies: readonly string[];
  readonly body: unknown;
}

type RawOperation = Omit<Operation, 'method' | 'path' | 'body' | 'open'> & {
  readonly requestBody?: DescribedBody;
  readonly security?: readonly object[];
};

/** Every call of the description. */
export const OPERATIONS: readonly Operation[] = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods as unknown as Record<string, RawOperation>).map(([method, operation]) => ({
    method: method.toUpperCase(),
    path,
    parameters: operation.parameters ?? [],
    body: operation.requestBody ?? null,
    open: operation.security !== undefined,
    responses: operation.responses,
  })),
);

const ajv = new Ajv2020({ strict: false, allErrors: true });
formats.default(ajv);
ajv.addSchema(description, 'api');
const compiled = new Map<string, ValidateFunction>();

/** The part of the description that a `#/...` reference points to. */
export function resolveReference(reference: string): unknown {
  const parts = reference.slice(2).split('/');
  return parts.reduce<unknown>((node, part) => (node as Record<string, unknown>)[unescapePart(part)], description);
}

/** Checks a value against the schema at a `#/...` reference; gives its faults, or nothing for a valid value. */
export function faultsOf(reference: string, value: unknown): string[] {
  let validate = compiled.get(reference);
  if (validate === undefined) {
    validate = ajv.compile({ $ref: `api${reference}` });
    compiled.set(reference, validate);
  }
  return validate(value)
    ? []
    : (validate.errors ?? []).map(
        ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
      );
}

/** The reference to the schema of a request's body; null where the call takes no body of this content type. */
export function bodyReference({ method, path, body }: Operation, contentType: string): string | null {
  if (!body?.content[contentType]) return null;
  const at = ['paths', path, method.toLowerCase(), 'requestBody', 'content', contentType, 'schema'];
  return `#/${at.map(escapePart).join('/')}`;
}

/** The call at this address; undefined where there is none. */
export function operationAt(method: string, path: string): Operation | undefined {
  const parts = path.split('/').map(decodePart);
  const fits = OPERATIONS.filter(({ path: template }) => {
    const pattern = template.split('/');
    return (
      pattern.length === parts.length &&
      pattern.every((part, position) => (part.startsWith('{') ? parts[position] !== '' : part === parts[position]))
    );
  });
  return fits.find((operation) => operation.method === method);
}

/** Fails unless the answer is as described. */
export function expectDescribed(method: string, path: string, answer: Answered): void {
  const operation = operationAt(method, path);
  if (operation === undefined) {
    expect(answer.headers['content-type'], `${method} ${path}`).toBe('application/problem+json');
    expect(faultsOf('#/components/schemas/Problem', answer.body)).toEqual([]);
    expect(answer.body).toMatchObject({
      status: answer.status,
      code: expect.stringMatching(/^(?:notFound|methodNotAllowed|malformedPath)$/),
    });
    return;
  }
  const which = `${operation.method} ${operation.path} ${answer.status}`;
  const own = ['paths', operation.path, operation.method.toLowerCase(), 'responses', String(answer.status)];
  let reference = `#/${own.map(escapePart).join('/')}`;
  let response = operation.responses[String(answer.status)];
  expect(response, `${which} is not described`).toBeDefined();
  if (response?.$ref) {
    reference = response.$ref;
    response = resolveReference(reference) as DescribedResponse;
  }
  for (const [name, { required }] of Object.entries(response?.headers ?? {})) {
    const given = name === 'Set-Cookie' ? answer.cookies[0] : answer.headers[name.toLowerCase()];
    if (required) expect(given, `${which} must have the header ${name}`).toBeDefined();
  }
  if (response?.content === undefined) {
    expect(answer.body, `${which} must have no body`).toBeUndefined();
    return;
  }
  const type = String(answer.headers['content-type']);
  expect(Object.keys(response.content), which).toContain(type);
  expect(faultsOf(`${reference}/content/${escapePart(type)}/schema`, answer.body), which).toEqual([]);
}

/** Decodes a part of a path as the API does; keeps a part that can't be decoded. */
function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// A JSON Pointer in a URI fragment (RFC 6901 sections 3 and 6).
function escapePart(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}

function unescapePart(part: string): string {
  return decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
}
