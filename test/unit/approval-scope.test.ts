import { expect, test } from 'vitest';
import { approvalScopeOf, changedSince } from '../../lib/settings/approval-scope.ts';
import { aSettings } from '../support/people.ts';

const BEFORE = aSettings();

test.each([
  ['scope', aSettings({ scope: { baseDn: 'dc=example,dc=org' } })],
  ['scope', aSettings({ scope: { filter: '(objectClass=person)' } })],
  ['scope', aSettings({ scope: { depth: 'oneLevel' } })],
  ['mapping.uniqueId', aSettings({ mapping: { uniqueId: 'employeeNumber' } })],
  ['options.missingUsers', aSettings({ options: { missingUsers: 'delete' } })],
])('an approval ends when %s changes', (name, after) => {
  expect(approvalScopeOf(after)).not.toBe(approvalScopeOf(BEFORE));
  expect(changedSince(approvalScopeOf(BEFORE), after)).toEqual([name]);
});

test.each([
  ['the schedule', aSettings({ options: { schedule: { enabled: true, expression: 'rate(1 day)', timeZone: 'UTC' } } })],
  ['the removal limit', aSettings({ options: { removalLimit: { percent: 50 }, gracePeriodDays: 3 } })],
  ['the mapping of a field', aSettings({ mapping: { fullName: 'displayName' } })],
  ['the servers', aSettings({ connection: { servers: ['192.0.2.1'] } })],
])('an approval survives a change of %s', (_name, after) => {
  expect(approvalScopeOf(after)).toBe(approvalScopeOf(BEFORE));
  expect(changedSince(approvalScopeOf(BEFORE), after)).toEqual([]);
});

test('every part that changed is named', () => {
  const after = aSettings({ scope: { filter: '(uid=a*)' }, options: { missingUsers: 'disable' } });

  expect(changedSince(approvalScopeOf(BEFORE), after)).toEqual(['scope', 'options.missingUsers']);
  expect(changedSince('made by something else', BEFORE)).toEqual(['scope', 'mapping.uniqueId', 'options.missingUsers']);
});

test('neither letter case of the unique id nor the order in which fields are stored ends an approval', () => {
  const { baseDn, filter, depth } = BEFORE.scope;
  const lower = aSettings({ mapping: { uniqueId: 'entryuuid' } });
  const mixed = { ...aSettings({ mapping: { uniqueId: 'entryUUID' } }), scope: { depth, filter, baseDn } };

  expect(approvalScopeOf(mixed)).toBe(approvalScopeOf(lower));
});

test('text that moves from one field of the scope to the next is another scope', () => {
  const one = aSettings({ scope: { baseDn: 'dc=a', filter: '' } });
  const other = aSettings({ scope: { baseDn: '', filter: 'dc=a' } });

  expect(approvalScopeOf(one)).not.toBe(approvalScopeOf(other));
});
