import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { makeHandler } from '../../functions/auth-handler.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { createLogin } from '../../lib/login/login.ts';
import { startHouse } from '../support/house.ts';
import type { House } from '../support/house.ts';
import { unreachable } from '../support/memory-directory.ts';
import { anEntry } from '../support/people.ts';

let house: House;
let auth: ReturnType<typeof makeHandler>;
let written: string[];

beforeEach(async () => {
  house = await startHouse();
  house.directory.people = [{ entry: anEntry('1', { uid: ['anna'] }), password: 'right-Pässword' }];
  await house.run();
  const directory = keepDirectory(house.ports.settings, house.directory.open, house.ports.clock);
  const login = createLogin({ logins: house.ports.logins, directory, clock: house.ports.clock, pause: async () => {} });
  auth = makeHandler({ login, takeDirectoryMs: () => 12 });
  written = [];
  const keep = (...parts: unknown[]): void => void written.push(parts.map(String).join(' '));
  for (const level of ['debug', 'info', 'log', 'warn', 'error'] as const) {
    vi.spyOn(console, level).mockImplementation(keep);
  }
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, 'write').mockImplementation((text) => {
      keep(text);
      return true;
    });
  }
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The JSON written so far: the log lines of logins, and the metrics by name. */
function output(): { readonly logs: Record<string, unknown>[]; readonly metrics: Record<string, unknown> } {
  const lines = written
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const metrics = Object.assign({}, ...lines.filter((line) => '_aws' in line)) as Record<string, unknown>;
  return { logs: lines.filter((line) => line['message'] === 'login'), metrics };
}

describe('a login leaves one line and its metrics, and nothing of what was typed', () => {
  test('when it is accepted', async () => {
    const answer = await auth({ userName: 'anna', password: 'right-Pässword' });
    const { logs, metrics } = output();
    expect(answer.outcome).toBe('accepted');
    expect(logs).toMatchObject([{ outcome: 'accepted', userId: 'account-1' }]);
    expect(metrics).toMatchObject({ LoginAccepted: 1, DirectoryLatency: 12 });
  });

  test('when it is rejected, by reason', async () => {
    await auth({ userName: 'Anna', password: 'wrong-Pässword' });
    const { logs, metrics } = output();
    expect(logs).toMatchObject([{ outcome: 'rejected', reason: 'invalidCredentials' }]);
    expect(metrics).toMatchObject({ LoginRejected: 1, reason: 'invalidCredentials' });
  });

  test('when the directory is away, which is a function error', async () => {
    house.directory.fault = unreachable();
    await expect(auth({ userName: 'anna', password: 'right-Pässword' })).rejects.toMatchObject({
      name: 'DirectoryUnavailable',
    });
    const { logs, metrics } = output();
    expect(logs).toMatchObject([{ outcome: 'fault', code: 'directoryUnavailable' }]);
    expect(metrics).toMatchObject({ LoginFault: 1 });
  });

  afterEach(() => {
    expect(written.join('\n')).not.toMatch(/P.ssword|"anna"|"Anna"/u);
  });
});

const TYPED = { userName: 'anna', password: 'right-Pässword' };

test.each([
  null,
  'x',
  [],
  {},
  { userName: 'anna' },
  { userName: 'anna', password: 7 },
  { ...TYPED, source: null },
  { ...TYPED, source: 7 },
  { ...TYPED, source: ['192.0.2.1'] },
  { ...TYPED, source: 'x'.repeat(129) },
  { ...TYPED, source: '\u{1F511}'.repeat(129) },
])('the event %j is refused as a function error, which repeats nothing of it', async (event) => {
  const refused = await auth(event).catch((error: unknown) => error as Error);
  expect(refused).toMatchObject({ name: 'InvalidRequest' });
  expect(String((refused as Error).stack)).not.toMatch(/P.ssword|192\.0|xxx/u);
  expect(house.directory.calls.binds).toEqual([]);
});

test('whatever an event holds, it is answered or refused with a code, and lets in by the right password alone', async () => {
  const userName = fc.oneof(
    fc.constantFrom('anna', ' ANNA ', 'WORK\\anna', 'an\u0000na', '*)(uid=*', 'nobody'),
    fc.string({ unit: 'binary' }),
    fc.anything(),
  );
  const password = fc.oneof(fc.constantFrom(TYPED.password, '', '\0'), fc.string({ unit: 'binary' }), fc.anything());
  const source = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.anything());
  const event = fc.oneof(fc.record({ userName, password, source }, { requiredKeys: [] }), fc.anything());
  const seen = new Set<string>();

  await fc.assert(
    fc.asyncProperty(event, async (sent) => {
      // Fifteen minutes, so that earlier events don't throttle this one.
      house.passSeconds(900);
      const answer = await auth(sent).catch((error: unknown) => error as Error);

      if (answer instanceof Error) {
        expect(answer.name).toBe('InvalidRequest');
        seen.add(answer.name);
        return;
      }
      seen.add(answer.outcome);
      expect(answer.outcome === 'accepted' || answer.reason === 'invalidCredentials').toBe(true);
      if (answer.outcome === 'accepted') expect(sent).toMatchObject({ password: TYPED.password });
    }),
    { numRuns: 500, examples: [[TYPED], [{ ...TYPED, password: 'guess' }], [null]] },
  );

  expect([...seen].toSorted()).toEqual(['InvalidRequest', 'accepted', 'rejected']);
  expect(written.join('\n')).not.toMatch(/P.ssword/u);
});

describe('the source of an event', () => {
  const guessUntilThrottled = async (): Promise<void> => {
    for (let attempt = 0; attempt < 6; attempt += 1) await auth({ ...TYPED, password: 'guess', source: 'stranger' });
  };

  test.each(['device 1', 'x'.repeat(128), '\u{1F511}'.repeat(128), '\uD800', 'a\u0000b'])(
    'lets %j in while others are throttled, once somebody has logged in from it',
    async (source) => {
      await auth({ ...TYPED, source });
      await guessUntilThrottled();
      expect(await auth({ ...TYPED, source })).toMatchObject({ outcome: 'accepted' });
      expect(await auth({ ...TYPED, source: 'other' })).toMatchObject({ reason: 'throttled' });
    },
  );

  test('is never known if it is empty or absent', async () => {
    await auth({ ...TYPED, source: '' });
    await auth(TYPED);
    await guessUntilThrottled();
    for (const event of [TYPED, { ...TYPED, source: '' }]) {
      expect(await auth(event)).toMatchObject({ reason: 'throttled' });
    }
  });

  test('leaves no trace in the log', async () => {
    await auth({ ...TYPED, source: 'device-of-anna' });
    expect(written.join('\n')).not.toContain('device-of-anna');
  });
});

test('further fields of an event are ignored', async () => {
  const event = { ...TYPED, sourceIp: '192.0.2.1', began: 'x', requestContext: { identity: 7 } };
  expect(await auth(event)).toMatchObject({ outcome: 'accepted' });
});

test('an accepted login carries what the directory says of the password', async () => {
  const [anna] = house.directory.people;
  house.directory.people = [{ ...anna!, passwordState: { passwordExpiresInSeconds: 3_600, graceLoginsLeft: 0 } }];
  expect(await auth(TYPED)).toMatchObject({
    outcome: 'accepted',
    passwordExpiresInSeconds: 3_600,
    graceLoginsLeft: 0,
  });
});
