import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  beginsAsDn,
  dnKey,
  isAtOrBelow,
  isDistinguishedName,
  ownTypes,
  ownValues,
  parentOf,
  parseDistinguishedName,
} from '../../lib/distinguished-name.ts';

describe('a distinguished name', () => {
  test('is parsed into its relative names, unescaped', () => {
    expect(parseDistinguishedName(String.raw`CN=Weber\, Anna+uid=anna,ou=a\2Bb, DC = example`)).toEqual([
      [
        { type: 'cn', value: 'Weber, Anna', encoded: false },
        { type: 'uid', value: 'anna', encoded: false },
      ],
      [{ type: 'ou', value: 'a+b', encoded: false }],
      [{ type: 'dc', value: 'example', encoded: false }],
    ]);
    expect(parseDistinguishedName('')).toEqual([]);
  });

  test.each(['anna', 'cn', '=anna', 'cn=a,', 'cn=a,,dc=b'])('%j is none', (text) => {
    expect(parseDistinguishedName(text)).toBeNull();
    expect(isDistinguishedName(text)).toBe(false);
  });

  test.each(['cn=a;dc=b', 'cn=a"b', String.raw`cn=a\zb`, 'cn=a<b'])('%j is none as a person types it', (text) => {
    expect(isDistinguishedName(text)).toBe(false);
    expect(parseDistinguishedName(text)).not.toBeNull();
  });

  test.each([
    [String.raw`o=Acme\, Inc.`, String.raw`o=Acme\2C Inc.`],
    [String.raw`ou=end\ ,dc=x`, String.raw`ou=end\20,dc=x`],
    ['CN=Anna,DC=Example', 'cn=anna, dc=example'],
    ['cn=Anna   Weber', 'cn=anna weber'],
    ['cn=a+uid=b', 'uid=b+cn=a'],
    ['2.5.4.3=anna', 'commonName=anna'],
    [String.raw`cn=M\C3\BCller`, 'cn=müller'],
    ['cn=STRASSE', 'cn=strasse'],
    ['OID.2.5.4.3=anna', 'cn=anna'],
    ['ou="Sales, EMEA"', String.raw`ou=Sales\, EMEA`],
  ])('%s is %s', (one, other) => {
    expect(dnKey(one)).toBe(dnKey(other));
  });

  test.each([
    ['cn=a,dc=x', 'cn=b,dc=x'],
    ['cn=a,dc=x', 'dc=x'],
    [String.raw`cn=a\,dc=x`, 'cn=a,dc=x'],
    [String.raw`cn=a\+uid=b`, 'cn=a+uid=b'],
    ['uid=a', 'cn=a'],
    ['cn=Weiss', 'cn=Weiß'],
    ['cn=fin', 'cn=ﬁn'],
    ['cn=x²', 'cn=x2'],
    [String.raw`cn=\ff`, String.raw`cn=\fe`],
    [String.raw`cn=\#0402`, 'cn=#0402'],
  ])('%s is not %s', (one, other) => {
    expect(dnKey(one)).not.toBe(dnKey(other));
  });

  test('is below its ancestors and itself, however they are spelled', () => {
    expect(isAtOrBelow('uid=a,OU=People,dc=x', 'ou=people, DC=X')).toBe(true);
    expect(isAtOrBelow('dc=x', 'dc=x')).toBe(true);
    expect(isAtOrBelow('dc=x', '')).toBe(true);
    expect(isAtOrBelow('dc=x', 'ou=people,dc=x')).toBe(false);
    expect(isAtOrBelow('ou=mypeople,dc=x', 'ou=people,dc=x')).toBe(false);
    expect(isAtOrBelow(String.raw`cn=a\,dc=x`, 'dc=x')).toBe(false);
  });

  test('tells its own types and values, and its parent as it is spelled', () => {
    const dn = String.raw`CN=Weber\, Anna+UID=anna, OU=People,DC=x`;

    expect([ownTypes(dn), ownValues(dn)]).toEqual([
      ['cn', 'uid'],
      ['Weber, Anna', 'anna'],
    ]);
    expect(parentOf(dn)).toBe('OU=People,DC=x');
    expect([parentOf('DC=x'), parentOf(''), parentOf('anna')]).toEqual(['', null, null]);
  });

  test.each([
    'uid=zoe,ou=Sales <EMEA>,dc=x',
    'uid=zoe,ou="Sales, EMEA",dc=x',
    'uid=zoe,ou=R;D,dc=x',
    String.raw`uid=zoe,ou=a\/b,dc=x`,
    'uid=zoe,employee_type=1,dc=x',
    'OID.0.9.2342.19200300.100.1.1=zoe,dc=x',
  ])('%s is read as servers write it, and refused as a person types it', (dn) => {
    expect(ownValues(dn)).toEqual(['zoe']);
    expect(ownTypes(dn)).toEqual(['uid']);
    expect(isAtOrBelow(dn, 'dc=x')).toBe(true);
    expect(isDistinguishedName(dn)).toBe(false);
  });

  test('is told from a bare name, without a look at its values', () => {
    expect(['uid=a', ' 2.5.4.3 = a', 'uid=a"b', 'OID.2.5.4.3=a', '1x=y'].every(beginsAsDn)).toBe(true);
    expect(['anna', 'anna@example.org', '=a', ''].some(beginsAsDn)).toBe(false);
  });

  test('has a key that survives every way of escaping its values', () => {
    const hex = (text: string): string =>
      [...Buffer.from(text)].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
    const special = (text: string): string =>
      text.replaceAll(/[\\"#+,;<=>]/g, String.raw`\$&`).replace(/^ | $/g, String.raw`\ `);
    const value = fc
      .string({ unit: fc.constantFrom(...Array.from('ab ,+="\\#;<>')), minLength: 1, maxLength: 12 })
      .filter((text) => text.trim() !== '' && text.trim() === text);

    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), (values) => {
        const one = values.map((each) => `ou=${special(each)}`).join(',');
        const other = values.map((each) => `OU=${hex(each)}`).join(', ');
        expect(ownValues(one)).toEqual([values[0]]);
        expect(dnKey(one)).toBe(dnKey(other));
        expect(isAtOrBelow(`cn=x,${one}`, other)).toBe(true);
      }),
    );
  });
});
