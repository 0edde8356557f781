/**
 * Foreign documents against zod schemas: the value, or every fault with its dotted path and a sentence that says what to do.
 * Knows no document in particular.
 */
// As a namespace, so that bundlers can leave out what is not used: 360 KB of languages.
import * as z from 'zod';
import type { InputFault } from '../errors.ts';
import { isPrintable } from '../printable.ts';

/** A document that has passed, or all that is wrong with it. */
export type Parsed<T> =
  | { readonly kind: 'valid'; readonly value: T }
  | { readonly kind: 'invalid'; readonly faults: readonly InputFault[] };

/** Faults told at once; a document with more has another problem than its details. */
const MAX_FAULTS = 100;

/** Runs a schema over a document. The path of a document that is wrong as a whole is empty. */
export function parseInput<T>(schema: z.ZodType<T>, document: unknown): Parsed<T> {
  const result = schema.safeParse(document, { error: describe });
  if (result.success) return { kind: 'valid', value: result.data };
  return { kind: 'invalid', faults: result.error.issues.flatMap(toFaults).slice(0, MAX_FAULTS) };
}

/** One line of text: trimmed, at most `maxLength` characters, no control characters. */
export function textLine(maxLength: number) {
  return z.string().trim().max(maxLength).refine(isPrintable, 'must not contain control characters');
}

/** As `textLine`, where nothing, null and the empty text are the same. */
export function optionalTextLine(maxLength: number) {
  return textLine(maxLength)
    .nullish()
    .transform((text) => text ?? '');
}

/** For checks of a whole list that are told beside the faults of its items, which may be of any type then. */
export const LIST_EVEN_SO = { when: ({ value }: z.core.ParsePayload): boolean => Array.isArray(value) };

/** For checks of a whole object that are told beside the faults of its fields, which may be of any type then. */
export const OBJECT_EVEN_SO = {
  when: ({ value }: z.core.ParsePayload): boolean =>
    typeof value === 'object' && value !== null && !Array.isArray(value),
};

/** Tells which texts of a list repeat an earlier one, compared without case. For `superRefine` with `LIST_EVEN_SO`. */
export function refuseRepetition(texts: readonly unknown[], context: z.core.$RefinementCtx): void {
  const seen = new Set<string>();
  for (const [position, text] of texts.entries()) {
    if (typeof text !== 'string') continue;
    const key = text.toLowerCase();
    if (seen.has(key)) context.addIssue({ code: 'custom', path: [position], message: 'must not be listed twice' });
    seen.add(key);
  }
}

/** Adds the sentence that a function finds wrong with a value, if it finds one. For `superRefine`. */
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

/** Words for what zod finds by itself; a schema's own messages are used as they are. Values are never quoted. */
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
