import { expect, test } from 'vitest';
import { agreesByItself, proposedLink } from '../../lib/sync/approval.ts';
import type { Change, FieldValue } from '../../lib/sync/run.ts';

type Pair = readonly [from: FieldValue, to: FieldValue];

function linkLine(fields: Readonly<Record<string, Pair>>): Change {
  return {
    kind: 'withheld',
    userId: 'account-1',
    userName: 'anna',
    directoryId: 'old',
    dn: 'uid=anna,ou=old',
    proposes: 'link',
    fields: Object.fromEntries(Object.entries(fields).map(([name, [from, to]]) => [name, { from, to }])),
  };
}

const NOBODY: Pair = [null, null];
const NOTHING: Pair = [[], []];

test.each<{ name: string; fullName?: Pair; emailAddresses?: Pair; agrees: boolean }>([
  { name: 'the same full name', fullName: ['Anna Weber', 'Anna Weber'], emailAddresses: NOTHING, agrees: true },
  { name: 'letter case and spaces', fullName: ['Anna  Weber', 'ANNA WEBER '], emailAddresses: NOTHING, agrees: true },
  { name: 'composed and decomposed', fullName: ['Zoé', 'Zoe\u0301'], emailAddresses: NOTHING, agrees: true },
  { name: 'another full name', fullName: ['Anna Weber', 'Anna Huber'], emailAddresses: NOTHING, agrees: false },
  { name: 'no full name', fullName: NOBODY, emailAddresses: NOTHING, agrees: false },
  { name: 'empty full names', fullName: ['', ' '], emailAddresses: NOTHING, agrees: false },
  { name: 'a full name that is gone', fullName: ['Anna', null], emailAddresses: NOTHING, agrees: false },
  {
    name: 'one address of several',
    fullName: NOBODY,
    emailAddresses: [
      ['a@x', 'b@x'],
      ['c@x', 'B@X'],
    ],
    agrees: true,
  },
  { name: 'no address of several', fullName: ['A', 'B'], emailAddresses: [['a@x', 'b@x'], ['c@x']], agrees: false },
  { name: 'an address like a part', fullName: NOBODY, emailAddresses: [['ann@x'], ['joann@x']], agrees: false },
  { name: 'other name, same address', fullName: ['A', 'B'], emailAddresses: [['a@x'], ['a@x']], agrees: true },
  { name: 'same name, other address', fullName: ['A', 'A'], emailAddresses: [['a@x'], ['b@x']], agrees: true },
  {
    name: 'a full name and an address crosswise',
    fullName: ['a@x', 'A'],
    emailAddresses: [['b@x'], ['a@x']],
    agrees: false,
  },
  { name: 'fields that are missing', agrees: false },
])('whether a link agrees by itself: $name: $agrees', ({ fullName, emailAddresses, agrees }) => {
  const fields = { ...(fullName && { fullName }), ...(emailAddresses && { emailAddresses }) };

  expect(
    agreesByItself(linkLine({ 'directory.id': ['old', 'new'], 'directory.dn': ['same', 'same'], ...fields })),
  ).toBe(agrees);
});

test('a line without fields agrees with nobody', () => {
  const { fields: _fields, ...bare } = linkLine({});

  expect(agreesByItself(bare)).toBe(false);
});

test('a line to link says the new directory id; any other line says none', () => {
  const line = linkLine({ 'directory.id': ['old', 'new'] });

  expect(proposedLink(line)).toBe('new');
  expect(proposedLink({ ...line, proposes: 'remove' })).toBeNull();
  expect(proposedLink(linkLine({ 'directory.id': ['old', null] }))).toBeNull();
  expect(proposedLink(linkLine({}))).toBeNull();
});
