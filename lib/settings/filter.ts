/**
 * Parses search filters in their text form (RFC 4515, with the empty `(&)` and `(|)` of RFC 4526). Strict, so that
 * every server understands a filter that an administrator can save. Knows no LDAP library.
 */
import { ATTRIBUTE_PATTERN, OID_PATTERN } from './attribute-name.ts';

/** A filter as a tree. Assertion values are bytes, so that they reach the server unchanged. */
export type Filter =
  | { readonly kind: 'and' | 'or'; readonly filters: readonly Filter[] }
  | { readonly kind: 'not'; readonly filter: Filter }
  | {
      readonly kind: 'equal' | 'greaterOrEqual' | 'lessOrEqual' | 'approximate';
      readonly attribute: string;
      readonly value: Uint8Array;
    }
  | {
      readonly kind: 'substrings';
      readonly attribute: string;
      readonly initial: Uint8Array | null;
      readonly any: readonly Uint8Array[];
      readonly final: Uint8Array | null;
    }
  | { readonly kind: 'present'; readonly attribute: string }
  | {
      readonly kind: 'extensible';
      /** null: every attribute that the rule applies to. */
      readonly attribute: string | null;
      /** Name or OID of the matching rule; null: the rule of the attribute itself. */
      readonly rule: string | null;
      /** Whether the attributes in the entry's DN are compared as well (`:dn`). */
      readonly dnAttributes: boolean;
      readonly value: Uint8Array;
    };

/** `position`: index of the fault in the text, from 0; the length of the text if its end is missing. */
export type ParsedFilter =
  | { readonly kind: 'filter'; readonly filter: Filter }
  | { readonly kind: 'fault'; readonly position: number; readonly message: string };

/** Maximum nesting of filters. Servers accept fewer levels; this limit bounds the recursion. */
export const MAX_FILTER_DEPTH = 100;

const ATTRIBUTE = new RegExp(ATTRIBUTE_PATTERN, 'y');
const RULE = new RegExp(OID_PATTERN, 'y');
const OPERATORS = [
  ['>=', 'greaterOrEqual'],
  ['<=', 'lessOrEqual'],
  ['~=', 'approximate'],
  ['=', 'equal'],
] as const;

class FilterFault {
  readonly position: number;
  readonly message: string;
  constructor(position: number, message: string) {
    this.position = position;
    this.message = message;
  }
}

function orNull(part: Uint8Array): Uint8Array | null {
  return part.length === 0 ? null : part;
}

const WHITE_SPACE = /\s*/uy;
const REMOVE_WHITE_SPACE = 'remove the white space before';

/**
 * The parsed filter, or position and message of the first fault. White space between filters is ignored, so that a long
 * filter can have several lines; RFC 4515 has none there, and none is sent. In a value it is part of the value.
 * @see RFC 4515 section 3, RFC 4526 section 2
 */
export function parseFilter(text: string): ParsedFilter {
  let at = 0;

  function fail(message: string, position = at): never {
    throw new FilterFault(position, message);
  }

  function expect(character: string, message: string): void {
    if (text[at] !== character) fail(message);
    at += 1;
  }

  function take(pattern: RegExp): string | null {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found ?? null;
  }

  function readFilter(depth: number): Filter {
    if (depth > MAX_FILTER_DEPTH) fail(`filters may be nested at most ${MAX_FILTER_DEPTH} deep`);
    expect('(', 'expected "("');
    const filter = readComponent(depth);
    if (text[at] === '*') fail('write "*" inside this value as \\2a');
    expect(')', at < text.length ? 'expected ")"' : 'a ")" is missing');
    return filter;
  }

  function readComponent(depth: number): Filter {
    const start = at;
    take(WHITE_SPACE);
    const operator = text[at];
    if (operator === '&' || operator === '|') {
      at += 1;
      const filters: Filter[] = [];
      for (take(WHITE_SPACE); text[at] === '('; take(WHITE_SPACE)) filters.push(readFilter(depth + 1));
      return { kind: operator === '&' ? 'and' : 'or', filters };
    }
    if (operator === '!') {
      at += 1;
      take(WHITE_SPACE);
      const filter = readFilter(depth + 1);
      take(WHITE_SPACE);
      return { kind: 'not', filter };
    }
    if (at > start) fail(`${REMOVE_WHITE_SPACE} the attribute name`, start);
    return readItem();
  }

  function readItem(): Filter {
    const attribute = take(ATTRIBUTE);
    if (text[at] === ':') return readExtensible(attribute);
    if (attribute === null) return fail('expected an attribute name, "&", "|" or "!"');
    const operator = OPERATORS.find(([sign]) => text.startsWith(sign, at));
    if (operator === undefined && /\s/u.test(text[at] ?? '')) return fail(`${REMOVE_WHITE_SPACE} the operator`);
    if (operator === undefined) return fail('expected "=", ">=", "<=", "~=" or ":=" after the attribute name');
    at += operator[0].length;
    if (operator[1] === 'equal') return readEqualityOrSubstrings(attribute);
    return { kind: operator[1], attribute, value: readValue() };
  }

  function readExtensible(attribute: string | null): Filter {
    const dnAttributes = /^:dn:/i.test(text.slice(at, at + 4));
    if (dnAttributes) at += 3;
    let rule: string | null = null;
    if (!text.startsWith(':=', at)) {
      expect(':', 'expected ":="');
      rule = take(RULE) ?? fail('expected the name or the OID of a matching rule');
    }
    if (attribute === null && rule === null) fail('name an attribute or a matching rule before ":="');
    if (!text.startsWith(':=', at)) fail('expected ":="');
    at += 2;
    return { kind: 'extensible', attribute, rule, dnAttributes, value: readValue() };
  }

  function readEqualityOrSubstrings(attribute: string): Filter {
    const parts = [readValue()];
    while (text[at] === '*') {
      at += 1;
      // RFC 4517 section 3.3.30: a substring has at least one character.
      if (text[at] === '*') fail('write one "*", not two in a row');
      parts.push(readValue());
    }
    const [first, last] = [parts[0]!, parts.at(-1)!];
    if (parts.length === 1) return { kind: 'equal', attribute, value: first };
    if (parts.length === 2 && first.length + last.length === 0) return { kind: 'present', attribute };
    return { kind: 'substrings', attribute, initial: orNull(first), any: parts.slice(1, -1), final: orNull(last) };
  }

  /** Reads up to the next `)` or `*`; the caller checks which of them is allowed here. */
  function readValue(): Uint8Array {
    const pieces: Uint8Array[] = [];
    for (;;) {
      const plain = take(/[^()*\\\0\p{Cs}]+/uy);
      if (plain !== null) pieces.push(Buffer.from(plain));
      const next = text[at];
      if (next === undefined || next === ')' || next === '*') return Buffer.concat(pieces);
      if (next === '(') fail('write "(" inside a value as \\28');
      if (next === '\0') fail('write NUL inside a value as \\00');
      if (next !== '\\') fail('remove the unpaired surrogate');
      const hex = /^[0-9A-Fa-f]{2}$/.exec(text.slice(at + 1, at + 3))?.[0];
      pieces.push(
        Buffer.from(hex ?? fail('two hexadecimal digits must follow "\\"; write "\\" itself as \\5c'), 'hex'),
      );
      at += 3;
    }
  }

  try {
    const filter = readFilter(1);
    if (at < text.length) fail('nothing may follow the last ")"');
    return { kind: 'filter', filter };
  } catch (fault) {
    if (!(fault instanceof FilterFault)) throw fault;
    return { kind: 'fault', position: fault.position, message: fault.message };
  }
}
