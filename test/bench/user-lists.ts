/**
 * Times lists and searches of many users on dynoxide, and checks that paging shows each user who stays exactly once
 * while others come, go and are renamed between the pages: `node test/bench/user-lists.ts [users]`, by default 100,000.
 */
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { UserQuery } from '../../lib/user/user-store.ts';
import type { User } from '../../lib/user/user.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { connectUnchecked } from '../support/dynamodb-connection.ts';
import { aUser } from '../support/people.ts';
import { createTables } from '../support/tables.ts';
import { median } from './measure.ts';

const [count = '100000'] = process.argv.slice(2);
const LIMIT = 200;
/** Number of pages or searches behind each median. */
const SAMPLE = 25;

/** Names are in an order unrelated to the numbers; every tenth user has two further addresses. */
function userOf(number: number, what: string): User {
  const userName = `${((number * 7_919) % 99_991).toString(36).padStart(4, '0')}.${what}.${number}`;
  const further = number % 10 === 0 ? [`first.last-${number}@example.com`, `desk-${number % 100}@example.com`] : [];
  return aUser({ id: `${what} ${number}`, userName, emailAddresses: [`${userName}@example.com`, ...further] });
}

const server = await startDynamoDb({ kind: 'dynoxide' });
const client = connectUnchecked(server.endpoint);
try {
  const store = createUserStore({ client, ...(await createTables(client)) });
  const create = async (...users: User[]): Promise<void> => {
    const results = await store.writeEach(users.map((user) => ({ kind: 'create', user })));
    if (results.some((result) => result !== 'written')) throw new Error('not every user was written');
  };
  const timed = async <T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> => {
    const began = performance.now();
    const result = await work();
    return { ms: performance.now() - began, result };
  };

  const staying = Array.from({ length: Number(count) }, (_, number) => userOf(number, 'stays'));
  // Each page uses up two of them.
  const moving = Array.from({ length: 3 * Math.ceil(staying.length / LIMIT) }, (_, number) => userOf(number, 'moves'));
  const { ms: loadMs } = await timed(() => create(...staying, ...moving));
  console.log(
    `${count} users, dynoxide in memory, Node ${process.versions.node}; written in ${Math.round(loadMs / 1_000)} s`,
  );

  const shown: string[] = [];
  const pagesMs: number[] = [];
  let next: string | null = null;
  do {
    const query: UserQuery = { limit: LIMIT, ...(next !== null && { next }) };
    const page = await timed(() => store.list(query));
    pagesMs.push(page.ms);
    shown.push(...page.result.items.map(({ userName }) => userName));
    ({ next } = page.result);
    // One user comes, one goes and one is renamed, each before or behind the position of the next page.
    const [renamed, deleted] = [moving.pop(), moving.pop()];
    if (renamed === undefined || deleted === undefined) throw new Error('there are more pages than expected');
    const number = shown.length;
    const user = { ...renamed, userName: userOf(number, 'renamed').userName, version: 2 };
    const results = [
      await store.writeTogether([{ kind: 'rename', user, previous: renamed }]),
      ...(await store.writeEach([{ kind: 'delete', previous: deleted }])),
    ];
    if (results.some((result) => result !== 'written')) throw new Error('not every write succeeded');
    await create(userOf(number, 'new'));
  } while (next !== null);

  const once = new Set(shown);
  const missed = staying.filter(({ userName }) => !once.has(userName));
  console.log(
    `${pagesMs.length} pages of ${LIMIT};`,
    `shown ${shown.length}, twice ${shown.length - once.size}, missed ${missed.length}`,
  );
  if (missed.length > 0 || once.size !== shown.length) process.exitCode = 1;

  const middle = Math.floor((pagesMs.length - SAMPLE) / 2);
  const rows: Record<string, number> = {
    [`page of ${LIMIT}, at the beginning`]: median(pagesMs.slice(0, SAMPLE)),
    [`page of ${LIMIT}, in the middle`]: median(pagesMs.slice(middle, middle + SAMPLE)),
    [`page of ${LIMIT}, at the end`]: median(pagesMs.slice(-SAMPLE)),
  };
  const alias = (number: number): string => `first.last-${number - (number % 10)}@example.com`;
  const queries: Record<string, (number: number) => UserQuery> = {
    'page of 50': () => ({ limit: 50 }),
    'search by the beginning of a name': (number) => ({ limit: 50, search: staying[number]!.userName.slice(0, 4) }),
    'search by a first address': (number) => ({ limit: 50, search: staying[number]!.emailAddresses[0]! }),
    'search by a further address': (number) => ({ limit: 50, search: alias(number) }),
    'search by an address that a hundredth of them have': () => ({ limit: 50, search: 'desk-0@example.com' }),
    'search by an address that nobody has': (number) => ({ limit: 50, search: `nobody-${number}@example.com` }),
  };
  for (const [what, queryOf] of Object.entries(queries)) {
    const timesMs: number[] = [];
    for (let which = 0; which < SAMPLE; which += 1) {
      const query = queryOf(Math.floor((staying.length / SAMPLE) * which));
      const { ms, result } = await timed(() => store.list(query));
      if (result.items.length > 0 === what.endsWith('nobody has')) {
        throw new Error(`${what}: found ${result.items.length} users`);
      }
      timesMs.push(ms);
    }
    rows[what] = median(timesMs);
  }
  console.table(Object.fromEntries(Object.entries(rows).map(([what, ms]) => [what, { ms: Number(ms.toFixed(1)) }])));
} finally {
  client.destroy();
  await server.stop();
}
