import { describe, expect, test } from 'vitest';
import { compareUsers, type ProductEvent, toRunEvent, toUserEvents } from '../../lib/event/event.ts';
import { newRun } from '../../lib/sync/run.ts';
import { exceedAddressBytes, MAX_ADDRESS_BYTES } from '../../lib/user/email-address.ts';
import { toPublicUser, type User } from '../../lib/user/user.ts';
import { aUser, NOW } from '../support/people.ts';

const before = aUser({ emailAddresses: ['anna@example.com'], passwordHash: '$argon2id$old', privileges: ['login'] });

/** The events of a write that changes `before` in these fields. */
function change(over: Partial<User>): readonly ProductEvent[] {
  const user = { ...before, ...over, version: 2, updatedAt: '2026-05-05T00:00:00.000Z' };
  return toUserEvents({ kind: 'changed', user, changes: compareUsers(before, user) });
}

function types(events: readonly ProductEvent[]): string[] {
  return events.map(({ type }) => type);
}

describe('a write of a user', () => {
  test('fits into an event of EventBridge, however many addresses change', () => {
    const addresses = (letter: string): string[] =>
      Array.from({ length: MAX_ADDRESS_BYTES / 64 - 5 }, (_, number) => `"${letter}${number}@`.padEnd(63, '"'));
    const old = addresses('a');
    const longest = aUser({ emailAddresses: old, fullName: '"'.repeat(512), userName: '"'.repeat(255) });
    const user = { ...longest, emailAddresses: addresses('b'), version: 2 };

    const events = toUserEvents({ kind: 'changed', user, changes: compareUsers(longest, user) });

    expect([old, user.emailAddresses].some(exceedAddressBytes)).toBe(false);
    expect(exceedAddressBytes([...old, ...addresses('c').slice(0, 6)])).toBe(true);
    expect(events.map((event) => Buffer.byteLength(JSON.stringify(event)) < 256 * 1024)).toEqual([true]);
  });

  test('is told with the public record as it is afterwards, under an id that is the same every time', () => {
    const [event, ...others] = change({ fullName: 'Anna Schmidt' });

    expect(others).toEqual([]);
    expect(event).toEqual({
      specversion: '1.0',
      id: 'user.updated:account-1:2',
      source: 'rollcall',
      type: 'user.updated',
      time: '2026-05-05T00:00:00.000Z',
      subject: 'account-1',
      datacontenttype: 'application/json',
      data: {
        user: toPublicUser({
          ...before,
          fullName: 'Anna Schmidt',
          version: 2,
          updatedAt: '2026-05-05T00:00:00.000Z',
        }),
        fields: { fullName: { from: 'Anna Weber', to: 'Anna Schmidt' } },
        passwordChanged: false,
      },
    });
  });

  test('that changes nothing public is not told', () => {
    expect(change({ fingerprint: 'another', sessionsValidFrom: NOW.toISOString() })).toEqual([]);
    expect(change({ directory: { ...before.directory!, idAttribute: 'nsuniqueid' } })).toEqual([]);
  });

  test('tells that the password has changed, and nothing of either', () => {
    const events = change({ passwordHash: '$argon2id$new' });

    expect(events).toMatchObject([{ type: 'user.updated', data: { fields: {}, passwordChanged: true } }]);
    expect(JSON.stringify(events)).not.toContain('argon2id');
  });

  test('tells name, status and other fields in events of their own', () => {
    const events = change({ userName: 'Anna', disabledBy: 'admin', privileges: ['none'] });

    expect(events).toMatchObject([
      { type: 'user.renamed', data: { previousUserName: 'anna', user: { userName: 'Anna' } } },
      { type: 'user.updated', data: { fields: { privileges: { from: ['login'], to: ['none'] } } } },
      { type: 'user.disabled', data: { user: { status: 'disabled', disabledBy: 'admin' } } },
    ]);
    expect(Object.keys((events[1] as ProductEvent<'user.updated'>).data.fields)).toEqual(['privileges']);
    expect(new Set(events.map(({ id }) => id)).size).toBe(3);
  });

  test('tells who disables as a field where the status stays', () => {
    const disabled = { ...before, disabledBy: 'sync' as const };
    const taken = { ...disabled, disabledBy: 'admin' as const, version: 3 };
    const enabled = { ...taken, disabledBy: null, version: 4 };

    const kept = toUserEvents({ kind: 'changed', user: taken, changes: compareUsers(disabled, taken) });
    const back = toUserEvents({ kind: 'changed', user: enabled, changes: compareUsers(taken, enabled) });

    expect(kept).toMatchObject([
      { type: 'user.updated', data: { fields: { disabledBy: { from: 'sync', to: 'admin' } } } },
    ]);
    expect(types(back)).toEqual(['user.enabled']);
  });

  test('that is the first or the last is told with its record', () => {
    const at = '2026-06-01T00:00:00.000Z';

    expect(toUserEvents({ kind: 'created', user: before })).toMatchObject([
      { type: 'user.created', time: before.updatedAt, data: { user: toPublicUser(before) } },
    ]);
    expect(toUserEvents({ kind: 'deleted', user: before, at })).toMatchObject([
      { type: 'user.deleted', id: 'user.deleted:account-1:1', time: at, data: { user: toPublicUser(before) } },
    ]);
    // A stream counts in whole seconds, so a deletion right after a write would seem to come before it.
    const early = toUserEvents({ kind: 'deleted', user: before, at: '2001-01-01T00:00:00.000Z' });
    expect(early.map(({ time }) => time)).toEqual([before.updatedAt]);
  });
});

test('the end of a run is told with the run', () => {
  const request = { dryRun: true, trigger: 'api', requestedBy: 'admin', approves: null } as const;
  const run = { ...newRun('run-1', request, NOW), status: 'failed', finishedAt: NOW.toISOString() } as const;

  expect(toRunEvent(run)).toMatchObject({
    id: 'run.finished:run-1',
    type: 'run.finished',
    subject: 'run-1',
    time: NOW.toISOString(),
    data: { run },
  });
});
