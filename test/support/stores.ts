/** Runs one suite on every adapter of the stores: in memory, on dynoxide, on AWS's DynamoDB Local. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe } from 'vitest';
import { createApprovalStore } from '../../lib/aws/approval-store.ts';
import { createLoginStore } from '../../lib/aws/login-store.ts';
import { createRunJournal } from '../../lib/aws/run-journal.ts';
import { createRunStore } from '../../lib/aws/run-store.ts';
import { createSessionStore } from '../../lib/aws/session-store.ts';
import { createUserStore } from '../../lib/aws/user-store.ts';
import type { LoginStore } from '../../lib/login/login-store.ts';
import type { SessionStore } from '../../lib/login/session.ts';
import type { ApprovalStore } from '../../lib/sync/approval-store.ts';
import type { RunJournal } from '../../lib/sync/run-journal.ts';
import type { RunStore } from '../../lib/sync/run-store.ts';
import type { UserStore } from '../../lib/user/user-store.ts';
import { startDynamoDb } from '../../local/dynamodb.ts';
import type { DynamoDbKind, LocalDynamoDb } from '../../local/dynamodb.ts';
import { createMemoryStores } from './memory-stores.ts';
import { connect, createTables } from './tables.ts';

/** Empty stores, and a clock that a test moves. */
export interface Stores {
  readonly users: UserStore;
  readonly logins: LoginStore;
  readonly runs: RunStore;
  readonly journal: RunJournal;
  readonly approvals: ApprovalStore;
  readonly sessions: SessionStore;
  readonly passMs: (ms: number) => void;
  readonly now: () => Date;
}

const START = Date.parse('2026-05-04T10:00:00.000Z');

function startClock() {
  let time = START;
  return {
    now: () => new Date(time),
    passMs(ms: number) {
      time += ms;
    },
  };
}

export async function openDynamoDbStores(client: DynamoDBDocumentClient): Promise<Stores> {
  const clock = startClock();
  const options = { client, clock, ...(await createTables(client)) };
  return {
    ...clock,
    users: createUserStore(options),
    logins: createLoginStore(options),
    runs: createRunStore(options),
    journal: createRunJournal(options),
    approvals: createApprovalStore(options),
    sessions: createSessionStore(options),
  };
}

/** Runs a suite on every adapter. Without Java it fails, with a message that says what to install. */
export function describeOnEveryStore(title: string, suite: (open: () => Promise<Stores>) => void): void {
  describe(`${title} in memory`, () => {
    suite(async () => {
      const clock = startClock();
      return { ...clock, ...createMemoryStores(clock) };
    });
  });
  for (const kind of ['dynoxide', 'dynamodb-local'] satisfies DynamoDbKind[]) {
    describe(`${title} on ${kind}`, () => {
      let server: LocalDynamoDb;
      let client: DynamoDBDocumentClient;
      beforeAll(async () => {
        server = await startDynamoDb({ kind });
        client = connect(server.endpoint);
      });
      afterAll(async () => {
        client?.destroy();
        await server?.stop();
      });
      suite(() => openDynamoDbStores(client));
    });
  }
}
