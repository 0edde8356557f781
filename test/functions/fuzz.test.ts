import type { Context } from 'aws-lambda';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeHandler } from '../../functions/api-handler.ts';
import type { ApiPorts } from '../../functions/api-handler.ts';
import { keepDirectory } from '../../lib/directory/current-directory.ts';
import { ServiceError } from '../../lib/errors.ts';
import { createLogin } from '../../lib/login/login.ts';
import { createSession } from '../../lib/login/session.ts';
import { approvalScopeOf } from '../../lib/settings/approval-scope.ts';
import { newRun } from '../../lib/sync/run.ts';
import { hashPassword } from '../../lib/user/password.ts';
import * as example from '../../openapi/example.ts';
import { apiEvent } from '../support/api-event.ts';
import type { SentRequest } from '../support/api-event.ts';
import { bodyReference, expectDescribed, faultsOf, OPERATIONS, operationAt } from '../support/described.ts';
import type { Operation } from '../support/described.ts';
import { MemoryDirectory } from '../support/memory-directory.ts';
import { createMemoryStores } from '../support/memory-stores.ts';
import { anEntry, aSettings, aUser, NOW } from '../support/people.ts';
import { ACTIVE_RUN_ID, PASSWORD, requests, RUN_ID, TOKEN } from '../support/request-arbitrary.ts';
import type { Request } from '../support/request-arbitrary.ts';

const REQUESTS = 2_000;
const OUTAGES = 300;
/** Far longer than the slowest call, which computes a password hash or two. */
const HANG_MS = 20_000;

const PASSWORD_HASH = await hashPassword(PASSWORD);

// ---------------------------------------------------------------------------------------------------- the house

/**
 * Starts an API with an administrator, users of every kind, settings, a run that has withheld removals, and perhaps an
 * active run.
 */
async function startHouse({ runActive }: Pick<Request, 'runActive'>, outage: Outage | null = null) {
  const clock = { now: () => NOW };
  const stores = createMemoryStores(clock);
  const directory = new MemoryDirectory();
  // A reader that sees nobody proves nothing, so every login would be a fault.
  directory.people = [{ entry: anEntry('9', { uid: ['zoe'] }) }];
  const integrated = { authentication: 'integrated', directory: null } as const;
  const administrator = aUser({
    id: '1',
    userName: 'admin',
    privileges: ['admin'],
    passwordHash: PASSWORD_HASH,
    ...integrated,
  });
  await stores.users.writeEach([
    { kind: 'create', user: administrator },
    { kind: 'create', user: aUser({ id: '2', userName: 'ada', ...integrated }) },
    {
      kind: 'create',
      user: aUser({ id: '3', userName: 'anna', emailAddresses: ['anna@example.com'], privileges: ['login', 'export'] }),
    },
    { kind: 'create', user: aUser({ id: '4', userName: 'bob', disabledBy: 'sync' }) },
  ]);
  const settingsVersion = await stores.settings.write(aSettings(), 'secret', null);
  const request = { dryRun: false, trigger: 'schedule', requestedBy: null, approves: null } as const;
  const run = newRun(RUN_ID, request, NOW);
  const started = await stores.runs.start(run);
  if (started.kind === 'active') throw new Error('the run did not start');
  // Of the user in the example of the description, so that the example is an approval.
  const { userId } = example.change;
  const withheld = { kind: 'withheld', userId, userName: 'anna', directoryId: 'i', dn: 'd' } as const;
  await stores.journal.tell(started.fence, { lines: [{ ...withheld, reason: 'too many', proposes: 'remove' }] });
  const totals = { ...run.totals, withheld: 1 };
  const approvalScope = approvalScopeOf(aSettings());
  const ended = { ...run, totals, settingsVersion, approvalScope, status: 'succeeded', stage: 'finished' } as const;
  await stores.runs.finish(started.fence, ended);
  if (runActive) await stores.runs.start(newRun(ACTIVE_RUN_ID, request, NOW));
  const { token } = await createSession(stores.sessions, administrator, NOW);

  const counts = { sessions: 0, runs: 0 };
  const lines: unknown[] = [];
  const whole: ApiPorts = {
    ...stores,
    sessions: {
      ...stores.sessions,
      async create(...args) {
        counts.sessions += 1;
        await stores.sessions.create(...args);
      },
      async delete(...args) {
        counts.sessions -= 1;
        await stores.sessions.delete(...args);
      },
    },
    openDirectory: directory.open,
    login: createLogin({
      logins: stores.logins,
      directory: keepDirectory(stores.settings, directory.open, clock),
      clock,
      pause: async () => {},
    }),
    startSync: async () => void (counts.runs += 1),
    readGeneratedPassword: async () => 'generated password',
    proxy: null,
    clock,
    logger: {
      info: (message, fields) => void lines.push(message, fields),
      error: (message, fields) => void lines.push(message, fields),
    },
  };
  const handler = makeHandler(outage ? breakPort(whole, outage) : whole);

  return {
    lines,
    async send(request: SentRequest) {
      const reveal = (text: string): string => text.replace(TOKEN, token);
      const headers = Object.entries(request.headers ?? {}).map(([name, value]) => [name, reveal(value)]);
      const event = apiEvent({
        ...request,
        headers: Object.fromEntries(headers) as Record<string, string>,
        ...(request.cookies && { cookies: request.cookies.map(reveal) }),
      });
      const { statusCode = 0, headers: sent = {}, body, cookies = [] } = await handler(event, {} as Context);
      return { status: statusCode, headers: sent, cookies, body: body === undefined ? undefined : JSON.parse(body) };
    },
    /** Everything that is stored, except failed attempts: a refused sign-in is meant to leave those. */
    async look(): Promise<string> {
      const { items } = await stores.runs.list({ limit: 100 });
      return JSON.stringify([
        (await stores.users.list({ limit: 200 })).items,
        items,
        await Promise.all(items.map(({ id }) => stores.runs.listChanges(id, { limit: 100 }))),
        await stores.approvals.list(),
        await stores.settings.read(),
        await stores.schedule.read(),
        counts,
      ]);
    },
  };
}

interface Outage {
  readonly port: 'users' | 'logins' | 'runs' | 'settings' | 'sessions' | 'schedule';
  readonly unexpected: boolean;
}

/** The same ports, except that one store does not answer. */
function breakPort(ports: ApiPorts, { port, unexpected }: Outage): ApiPorts {
  const fault = unexpected ? new TypeError('x is undefined') : new ServiceError('storeUnavailable', 'no answer');
  const broken = Object.keys(ports[port]).map((name) => [name, () => Promise.reject(fault)]);
  return { ...ports, [port]: Object.fromEntries(broken) };
}

// ------------------------------------------------------------------------------------------------- what must hold

function callOf({ method, path }: Operation): string {
  return `${method} ${path}`;
}

/** Whether the description refuses the body of this request from an administrator. */
function isRefusedByDescription({ method, path, text, base64, headers = {} }: SentRequest): boolean {
  const operation = operationAt(method, path);
  const reference = operation && bodyReference(operation, headers['content-type'] ?? '');
  if (!reference || text === undefined || text === '' || base64) return false;
  try {
    // The API ignores a byte order mark, as RFC 8259 section 8.1 allows.
    return faultsOf(reference, JSON.parse(text.replace(/^\uFEFF/, ''))).length > 0;
  } catch {
    return true;
  }
}

test(
  `no request of ${REQUESTS} breaks the API, makes it hang, gets an answer that is not described, or leaves a trace when refused`,
  { timeout: 10 * 60_000 },
  async () => {
    const seen = new Set<string>();

    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        const house = await startHouse(request);
        const before = await house.look();

        const answer = await house.send(request);

        expect(answer.status).toBeLessThan(500);
        expectDescribed(request.method, request.path, answer);
        const refused = answer.status >= 400;
        if (isRefusedByDescription(request)) expect(refused, 'must be refused, as described').toBe(true);
        if (refused || request.method === 'GET') expect(await house.look()).toBe(before);
        expect(JSON.stringify(house.lines)).not.toMatch(/correct horse|password of the reader/);
        seen.add(`${answer.status}`);
        if (!refused) seen.add(callOf(operationAt(request.method, request.path)!));
      }),
      { numRuns: REQUESTS, timeout: HANG_MS },
    );

    // The requests have been everywhere: each call was carried out, and refused in each way.
    expect([...seen]).toEqual(
      expect.arrayContaining([
        ...OPERATIONS.map(callOf),
        '200',
        '201',
        '202',
        '204',
        '400',
        '401',
        '404',
        '405',
        '409',
        '412',
        '413',
        '415',
        '422',
      ]),
    );
  },
);

// oxlint-disable-next-line vitest/expect-expect -- expectDescribed asserts.
test('whatever is asked while a store is away is answered as described', { timeout: 5 * 60_000 }, async () => {
  const outages = fc.record<Outage>({
    port: fc.constantFrom('users', 'logins', 'runs', 'settings', 'sessions', 'schedule'),
    unexpected: fc.boolean(),
  });

  await fc.assert(
    fc.asyncProperty(requests, outages, async (request, outage) => {
      const house = await startHouse(request, outage);

      const answer = await house.send(request);

      expectDescribed(request.method, request.path, answer);
    }),
    { numRuns: OUTAGES, timeout: HANG_MS },
  );
});
