/**
 * Creates the template's tables, secrets and schedules in the stand-ins; what is there already it leaves alone, or
 * brings to the state of the template. Uses the AWS SDK, as CloudFormation's handlers would on AWS.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  DynamoDBClient,
  ResourceInUseException,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import {
  CreateScheduleCommand,
  CreateScheduleGroupCommand,
  ConflictException,
  DeleteScheduleCommand,
  ResourceNotFoundException,
  SchedulerClient,
  UpdateScheduleCommand,
} from '@aws-sdk/client-scheduler';
import {
  CreateSecretCommand,
  GetSecretValueCommand,
  ResourceExistsException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { LOCAL_CLIENT, type LocalStack, type SecretDefinition, type TableDefinition } from './template.ts';

/** The content of the administrator secret. */
export interface Administrator {
  readonly userName: string;
  readonly password: string;
}

/** The URLs of the stand-ins. */
export interface Endpoints {
  readonly dynamoDb: string;
  readonly secretsManager: string;
  readonly scheduler: string;
}

/** The schedule that was in the template of earlier releases. CloudFormation deletes what leaves the template. */
const FORMER = { Name: 'SyncSchedule' };

const INDEX_POLL_MS = 50;

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/**
 * Provisions the stack and returns the first administrator. `administratorPassword` undefined: generated at the first
 * start.
 * @throws Error with a sentence for the user, if the data was created with another password
 */
export async function provision(
  stack: LocalStack,
  endpoints: Endpoints,
  administratorPassword: string | undefined,
): Promise<Administrator> {
  const dynamoDb = new DynamoDBClient({ ...LOCAL_CLIENT, endpoint: endpoints.dynamoDb });
  const secretsManager = new SecretsManagerClient({ ...LOCAL_CLIENT, endpoint: endpoints.secretsManager });
  const scheduler = new SchedulerClient({ ...LOCAL_CLIENT, endpoint: endpoints.scheduler });
  try {
    for (const table of stack.tables) await provideTable(dynamoDb, table);
    for (const secret of stack.secrets) await createSecret(secretsManager, secret, administratorPassword);
    for (const Name of stack.scheduleGroups) {
      await unless(ConflictException, scheduler.send(new CreateScheduleGroupCommand({ Name })));
      await unless(
        ResourceNotFoundException,
        scheduler.send(new DeleteScheduleCommand({ GroupName: Name, ...FORMER })),
      );
    }
    for (const schedule of stack.schedules) {
      await unless(ConflictException, scheduler.send(new CreateScheduleCommand(schedule)));
      // A schedule that an earlier start made may be that of an earlier release.
      await scheduler.send(new UpdateScheduleCommand(schedule));
    }
    return await readAdministrator(secretsManager, stack, administratorPassword);
  } finally {
    for (const client of [dynamoDb, secretsManager, scheduler]) client.destroy();
  }
}

/**
 * Creates a table, or adds to the one that an earlier release has created what it lacks: stream, indexes, TTL. When it
 * resolves, the indexes can be read.
 */
export async function provideTable(client: DynamoDBClient, { create, timeToLive }: TableDefinition): Promise<void> {
  const { TableName, StreamSpecification, AttributeDefinitions = [], GlobalSecondaryIndexes = [] } = create;
  await unless(ResourceInUseException, client.send(new CreateTableCommand(create)));
  const { Table } = await client.send(new DescribeTableCommand({ TableName }));
  if (StreamSpecification !== undefined && Table?.StreamSpecification?.StreamEnabled !== true) {
    await client.send(new UpdateTableCommand({ TableName, StreamSpecification }));
  }
  // One by one, as DynamoDB wants it.
  for (const index of GlobalSecondaryIndexes) {
    if (Table?.GlobalSecondaryIndexes?.some(({ IndexName }) => IndexName === index.IndexName) === true) continue;
    const keys = new Set(index.KeySchema?.map(({ AttributeName }) => AttributeName));
    await client.send(
      new UpdateTableCommand({
        TableName,
        AttributeDefinitions: AttributeDefinitions.filter(({ AttributeName }) => keys.has(AttributeName)),
        GlobalSecondaryIndexUpdates: [{ Create: index }],
      }),
    );
    await waitForIndexes(client, TableName);
  }
  if (timeToLive === undefined) return;
  const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }));
  if (TimeToLiveDescription?.TimeToLiveStatus === 'ENABLED') return;
  const TimeToLiveSpecification = { AttributeName: timeToLive, Enabled: true };
  await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
}

async function waitForIndexes(client: DynamoDBClient, TableName: string | undefined): Promise<void> {
  for (;;) {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }));
    if (Table?.GlobalSecondaryIndexes?.every(({ IndexStatus }) => IndexStatus === 'ACTIVE') === true) return;
    await sleep(INDEX_POLL_MS);
  }
}

async function createSecret(
  client: SecretsManagerClient,
  { name, initial }: SecretDefinition,
  administratorPassword: string | undefined,
): Promise<void> {
  const SecretString = 'value' in initial ? initial.value : generate(initial, administratorPassword);
  await unless(ResourceExistsException, client.send(new CreateSecretCommand({ Name: name, SecretString })));
}

function generate(
  { template, key, length }: Extract<SecretDefinition['initial'], { key: string }>,
  value: string | undefined,
): string {
  const letters = Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]);
  return JSON.stringify({ ...template, [key]: value ?? letters.join('') });
}

async function readAdministrator(
  client: SecretsManagerClient,
  { secrets }: LocalStack,
  administratorPassword: string | undefined,
): Promise<Administrator> {
  const generated = secrets.find(({ initial }) => 'key' in initial);
  const answer = await client.send(new GetSecretValueCommand({ SecretId: generated?.name }));
  const administrator = JSON.parse(answer.SecretString ?? '') as Administrator;
  if (administratorPassword !== undefined && administrator.password !== administratorPassword) {
    throw new Error(
      '--admin-password: the data folder already has an administrator with another password; leave the flag out',
    );
  }
  return administrator;
}

/** Waits for a change; an error that says that it is made already is none. */
async function unless(made: new (...args: never[]) => Error, change: Promise<unknown>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (!(error instanceof made)) throw error;
  }
}
