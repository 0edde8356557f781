import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Filter, MAX_FILTER_DEPTH, parseFilter } from '../../lib/settings/filter.ts';

/** A filter with its bytes as text, so that a whole tree can be compared and read. */
function readable(filter: Filter): unknown {
  return JSON.parse(
    JSON.stringify(filter, (_key, value: unknown) =>
      value !== null && typeof value === 'object' && (value as { type?: unknown }).type === 'Buffer'
        ? Buffer.from((value as { data: number[] }).data).toString('latin1')
        : value,
    ),
  );
}

function parsed(text: string): unknown {
  const result = parseFilter(text);
  return result.kind === 'filter' ? readable(result.filter) : result;
}

const OPERATORS = { equal: '=', greaterOrEqual: '>=', lessOrEqual: '<=', approximate: '~=' };

function escape(bytes: Uint8Array | null): string {
  return [...(bytes ?? [])].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
}

/** Prints a filter, with every byte of its values escaped. */
function print(filter: Filter): string {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return `(${filter.kind === 'and' ? '&' : '|'}${filter.filters.map(print).join('')})`;
    case 'not':
      return `(!${print(filter.filter)})`;
    case 'present':
      return `(${filter.attribute}=*)`;
    case 'substrings':
      return `(${filter.attribute}=${[filter.initial, ...filter.any, filter.final].map(escape).join('*')})`;
    case 'extensible':
      return [
        `(${filter.attribute ?? ''}${filter.dnAttributes ? ':dn' : ''}`,
        `${filter.rule === null ? '' : `:${filter.rule}`}:=${escape(filter.value)})`,
      ].join('');
    case 'equal':
    case 'greaterOrEqual':
    case 'lessOrEqual':
    case 'approximate':
    default:
      return `(${filter.attribute}${OPERATORS[filter.kind]}${escape(filter.value)})`;
  }
}

function nested(depth: number): string {
  return `${'(!'.repeat(depth - 1)}(a=b)${')'.repeat(depth - 1)}`;
}

const bytes = fc.uint8Array({ maxLength: 8 }).map((value) => Buffer.from(value));
const someBytes = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((value) => Buffer.from(value));
const attribute = fc.constantFrom('cn', 'objectClass', 'cn;lang-de', '2.5.4.3', 'x-a-1;binary;x-1');
const rule = fc.constantFrom('caseIgnoreMatch', '1.2.840.113556.1.4.803');
const simple: fc.Arbitrary<Filter> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('equal' as const, 'greaterOrEqual' as const, 'lessOrEqual' as const, 'approximate' as const),
    attribute,
    value: bytes,
  }),
  fc.record({ kind: fc.constant('present' as const), attribute }),
  fc
    .record({
      kind: fc.constant('substrings' as const),
      attribute,
      initial: fc.option(someBytes),
      any: fc.array(someBytes, { maxLength: 2 }),
      final: fc.option(someBytes),
    })
    .filter(({ initial, any, final }) => initial !== null || any.length > 0 || final !== null),
  fc
    .record({
      kind: fc.constant('extensible' as const),
      attribute: fc.option(attribute),
      rule: fc.option(rule),
      dnAttributes: fc.boolean(),
      value: bytes,
    })
    .filter((filter) => filter.attribute !== null || filter.rule !== null),
);
const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    simple,
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      filters: fc.array(tie('filter'), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), filter: tie('filter') }),
  ),
}));

describe('a well-formed filter', () => {
  test.each([
    ['(cn=Babs Jensen)', { kind: 'equal', attribute: 'cn', value: 'Babs Jensen' }],
    ['(cn=)', { kind: 'equal', attribute: 'cn', value: '' }],
    ['(cn= a )', { kind: 'equal', attribute: 'cn', value: ' a ' }],
    ['(a=b=c:d&|!<>~)', { kind: 'equal', attribute: 'a', value: 'b=c:d&|!<>~' }],
    [
      '(o=Parens R Us \\28for all your parenthetical needs\\29)',
      { kind: 'equal', attribute: 'o', value: 'Parens R Us (for all your parenthetical needs)' },
    ],
    ['(bin=\\00\\00\\00\\04)', { kind: 'equal', attribute: 'bin', value: '\0\0\0\u0004' }],
    ['(sn=Lu\\c4\\8di\\c4\\87)', { kind: 'equal', attribute: 'sn', value: 'Lu\u00c4\u008di\u00c4\u0087' }],
    ['(sn=ä)', { kind: 'equal', attribute: 'sn', value: '\u00c3\u00a4' }],
    ['(mail=*)', { kind: 'present', attribute: 'mail' }],
    ['(age>=18)', { kind: 'greaterOrEqual', attribute: 'age', value: '18' }],
    ['(age<=18)', { kind: 'lessOrEqual', attribute: 'age', value: '18' }],
    ['(cn~=jon)', { kind: 'approximate', attribute: 'cn', value: 'jon' }],
    ['(cn=*a*)', { kind: 'substrings', attribute: 'cn', initial: null, any: ['a'], final: null }],
    ['(cn=i*a*b*f)', { kind: 'substrings', attribute: 'cn', initial: 'i', any: ['a', 'b'], final: 'f' }],
    ['(cn=\\2a*)', { kind: 'substrings', attribute: 'cn', initial: '*', any: [], final: null }],
    ['(cn:=x)', { kind: 'extensible', attribute: 'cn', rule: null, dnAttributes: false, value: 'x' }],
    [
      '(cn:caseExactMatch:=x)',
      { kind: 'extensible', attribute: 'cn', rule: 'caseExactMatch', dnAttributes: false, value: 'x' },
    ],
    ['(o:dn:=x)', { kind: 'extensible', attribute: 'o', rule: null, dnAttributes: true, value: 'x' }],
    [
      '(sn:DN:2.4.6.8.10:=x)',
      { kind: 'extensible', attribute: 'sn', rule: '2.4.6.8.10', dnAttributes: true, value: 'x' },
    ],
    ['(:1.2.3:=x)', { kind: 'extensible', attribute: null, rule: '1.2.3', dnAttributes: false, value: 'x' }],
    ['(&)', { kind: 'and', filters: [] }],
    ['(|)', { kind: 'or', filters: [] }],
    [
      '(!(&(a=1)(|)))',
      {
        kind: 'not',
        filter: {
          kind: 'and',
          filters: [
            { kind: 'equal', attribute: 'a', value: '1' },
            { kind: 'or', filters: [] },
          ],
        },
      },
    ],
  ])('%s means what RFC 4515 says', (text, expected) => {
    expect(parsed(text)).toEqual(expected);
  });

  test('of any shape comes back as the tree it was written from', () => {
    fc.assert(
      fc.property(filter, (tree) => {
        expect(parsed(print(tree))).toEqual(readable(tree));
      }),
    );
  });
});

describe('white space between filters', () => {
  const anyOf = { kind: 'or', filters: [{ kind: 'equal', attribute: 'c', value: 'd' }] };
  const written = {
    kind: 'and',
    filters: [{ kind: 'not', filter: { kind: 'equal', attribute: 'a', value: 'b' } }, anyOf],
  };

  test.each([
    '(&(!(a=b))(|(c=d)))',
    '(&\n  (!(a=b))\n  (|\n    (c=d)\n  )\n)',
    '( & ( ! (a=b) ) (\t| (c=d)\u00A0) )',
    '(&\r\n(!(a=b))\r\n(|(c=d)))',
  ])('is ignored: %j', (text) => {
    expect(parsed(text)).toEqual(written);
  });

  test('belongs to a value inside one', () => {
    expect(parsed('(& (a= b ) )')).toEqual({ kind: 'and', filters: [{ kind: 'equal', attribute: 'a', value: ' b ' }] });
  });

  test.each(['( cn=a)', '(cn =a)', '(&(a=b)(\ncn=a))'])('inside a filter is named as the fault: %j', (text) => {
    expect(parseFilter(text)).toMatchObject({ kind: 'fault', message: expect.stringMatching(/white space/) as string });
  });

  test('changes no filter, wherever it is', () => {
    fc.assert(
      fc.property(filter, fc.constantFrom(' ', '\n\t', '\r\n  '), (tree, space) => {
        const spaced = print(tree).replaceAll(/\([&|!]|(?<=\))\)|\)(?=\()/g, `$&${space}`);
        expect(parsed(spaced.trim())).toEqual(readable(tree));
      }),
    );
  });
});

describe('a malformed filter is refused with the place of the fault', () => {
  test.each([
    ['', 0],
    ['cn=a', 0],
    [' (cn=a)', 0],
    ['( cn=a)', 1],
    ['()', 1],
    ['(cn)', 3],
    ['(cn =a)', 3],
    ['(cn=a', 5],
    ['(cn=a))', 6],
    ['(cn=a)(cn=b)', 6],
    ['(cn=a(b)', 5],
    ['(cn=\0)', 4],
    ['(cn=\\)', 4],
    ['(cn=\\4)', 4],
    ['(cn=\\zz)', 4],
    ['(cn=\ud800)', 4],
    ['(cn=a**b)', 6],
    ['(cn>=a*)', 6],
    ['(cn:=a*)', 6],
    ['(&(a=b)', 7],
    ['(&(a=b) c=d)', 8],
    ['(&\n  (a=b)\n  (c=d(e))\n)', 17],
    ['(&\n  (a=b)\n', 11],
    ['(! (a=b) (c=d))', 9],
    ['(a =b)', 2],
    ['(a\n>=b)', 2],
    ['(a: =b)', 3],
    ['(&a=b)', 2],
    ['(!)', 2],
    ['(!(a=b)(c=d))', 7],
    ['(:=x)', 1],
    ['(:dn:=x)', 4],
    ['(cn:rule=x)', 8],
    ['(1.02=x)', 4],
    ['(1=x)', 1],
    ['(cn;=x)', 3],
    ['(c_n=x)', 2],
  ])('%j at %i', (text, position) => {
    expect(parseFilter(text)).toEqual({ kind: 'fault', position, message: expect.stringMatching(/./) as string });
  });

  test('when it is nested deeper than any server takes', () => {
    expect(parseFilter(nested(MAX_FILTER_DEPTH)).kind).toBe('filter');
    expect(parseFilter(nested(MAX_FILTER_DEPTH + 1))).toMatchObject({ kind: 'fault', position: 2 * MAX_FILTER_DEPTH });
    expect(parseFilter('(!'.repeat(1_000_000)).kind).toBe('fault');
  });

  test('whatever the text is, without an exception and inside the text', () => {
    const fragments = fc.constantFrom(
      '(',
      ')',
      '&',
      '|',
      '!',
      '=',
      '*',
      ':',
      ':dn',
      '\\',
      '\\2a',
      '>=',
      'cn',
      '1.2',
      ';',
      ' ',
      'ä',
      '\0',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(fragments).map((parts) => parts.join('')),
        ),
        (text) => {
          const result = parseFilter(text);
          expect(result.kind === 'filter' ? 0 : result.position).toBeLessThanOrEqual(text.length);
        },
      ),
    );
  });

  test('when any single parenthesis is missing', () => {
    fc.assert(
      fc.property(filter, fc.nat(), (tree, pick) => {
        const text = print(tree);
        const places = [...text.matchAll(/[()]/g)].map(({ index }) => index);
        const place = places[pick % places.length]!;
        expect(parseFilter(text.slice(0, place) + text.slice(place + 1)).kind).toBe('fault');
      }),
    );
  });
});
