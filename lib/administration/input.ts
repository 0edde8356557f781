/**
 * Parses documents by zod schemas: gives the value, or every fault with its dotted path and how to correct it. Knows no
 * particular document.
 */
// As a namespace, so that bundlers can drop unused parts: 360 KB of translations.
import * as z from 'zod';
import type { InputFault } from '../errors.ts';
import { isPrintable } from '../printable.ts';

/** The value of a valid document, or all faults of an invalid one. */
export type Parsed<T> =
  | { readonly kind: 'valid'; readonly value: T }
  | { readonly kind: 'invalid'; readonly faults: readonly InputFault[] };

/** Most faults reported at once. More are no help: such a document is wrong as a whole. */
const MAX_FAULTS = 100;

/** Parses a document by a schema. Gives at most 100 faults; the path of a fault of the whole document is empty. */
export function parseInput<T>(schema: z.ZodType<T>, document: unknown): Parsed<T> {
  const result = schema.safeParse(document, { error: describe });
  if (result.success) return { kind: 'valid', value: result.data };
  return { kind: 'invalid', faults: result.error.issues.flatMap(toFaults).slice(0, MAX_FAULTS) };
}

/** A schema for one line of text: trimmed, at most `maxLength` characters, no control characters. */
export function textLine(maxLength: number) {
  return z.string().trim().max(maxLength).refine(isPrintable, 'must not contain control characters');
}

/** Like `textLine`, but optional: a missing value and null become the empty text. */
export function optionalTextLine(maxLength: number) {
  return textLine(maxLength)
    .nullish()
    .transform((text) => text ?? '');
}

/** Makes a check of a whole list run even if items are faulty. The items can then have any type. */
export const LIST_EVEN_SO = { when: ({ value }: z.core.ParsePayload): boolean => Array.isArray(value) };

/** Makes a check of a whole object run even if fields are faulty. The fields can then have any type. */
export const OBJECT_EVEN_SO = {
  when: ({ value }: z.core.ParsePayload): boolean =>
    typeof value === 'object' && value !== null && !Array.isArray(value),
};

/**
 * Adds a fault for each text of a list that repeats an earlier one, in any letter case. For `superRefine` with
 * `LIST_EVEN_SO`.
 */
export function refuseRepetition(texts: readonly unknown[], context: z.core.$RefinementCtx): void {
  const seen = new Set<string>();
  for (const [position, text] of texts.entries()) {
    if (typeof text !== 'string') continue;
    const key = text.toLowerCase();
    if (seen.has(key)) context.addIssue({ code: 'custom', path: [position], message: 'must not be listed twice' });
    seen.add(key);
  }
}

/** Adds the fault that a function finds in a value, unless it returns null. For `superRefine`. */
export function refuse<T>(fault: (value: T) => string | null) {
  return (value: T, context: z.core.$RefinementCtx): void => {
    const message = fault(value);
    if (message !== null) context.addIssue({ code: 'custom', message });
  };
}

function toFaults(issue: z.core.$ZodIssue): InputFault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: dotted([...issue.path, key]), message: 'is unknown; remove it' }));
  }
  return [{ path: dotted(issue.path), message: issue.message }];
}

function dotted(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}

/** The messages of zod's own checks. A schema's own messages take precedence. Never quotes a value. */
function describe(issue: z.core.$ZodRawIssue): string {
  if (issue.code === 'invalid_type') {
    return issue.input === undefined ? 'is required' : `must be ${TYPE_NAMES[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === 'invalid_value') return `must be one of: ${issue.values.map(String).join(', ')}`;
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}${unit(issue.origin)}`;
  if (issue.code === 'too_small') return `must be at least ${issue.minimum}${unit(issue.origin)}`;
  return 'is not valid';
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

function unit(origin: string): string {
  if (origin === 'string') return ' characters long';
  return origin === 'array' ? ' items long' : '';
}
