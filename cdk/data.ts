/**
 * The stored data: users, operations, settings and the first administrator's password, created here or adopted from an
 * earlier stack or a restored backup. Knows nothing of its readers.
 */
import { RemovalPolicy, SecretValue, Validations } from 'aws-cdk-lib';
import {
  AttributeType,
  BillingMode,
  ProjectionType,
  Table,
  TableEncryption,
  type ITable,
  type TableProps,
} from 'aws-cdk-lib/aws-dynamodb';
import type { Conditions } from 'aws-cdk-lib/aws-iam';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { OPERATIONS_TABLE, USERS_TABLE } from '../lib/aws/environment.ts';
import { STREAM_VIEWS, type DataContext } from './context.ts';

/**
 * No deployment and no deletion of the stack removes what has this policy: the users are what the whole system is for.
 * Only if its creation is rolled back, when it is still empty, is it deleted, so that a failed first deployment leaves
 * nothing behind.
 * @see https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html
 */
const KEPT = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;

const TABLE = {
  billingMode: BillingMode.PAY_PER_REQUEST,
  encryption: TableEncryption.AWS_MANAGED,
  pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
  removalPolicy: KEPT,
} as const satisfies Partial<TableProps>;

/** Limits a permission on the operations table to these partitions; `*` stands for the rest of a key. */
export function onlyPartitions(...keys: readonly string[]): Conditions {
  return { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': keys } };
}

/**
 * Limits a permission to requests that name no other attributes, not even in a condition. The key counts, too.
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
 */
export function onlyAttributes(...names: readonly string[]): Conditions {
  return { 'ForAllValues:StringEquals': { 'dynamodb:Attributes': names } };
}

/** The two tables and the two secrets. */
export class Data extends Construct {
  readonly users: ITable;
  readonly operations: ITable;
  readonly settingsSecret: ISecret;
  readonly administratorSecret: ISecret;

  constructor(
    scope: Construct,
    id: string,
    { usersTable, operationsTable, settingsSecretArn, deletionProtection }: DataContext,
  ) {
    super(scope, id);
    this.users =
      usersTable === undefined
        ? this.createUsers(deletionProtection)
        : Table.fromTableAttributes(this, 'Users', usersTable);
    this.operations =
      operationsTable === undefined
        ? this.createOperations(deletionProtection)
        : Table.fromTableAttributes(this, 'Operations', operationsTable);
    this.settingsSecret =
      settingsSecretArn === undefined
        ? this.createSettings()
        : Secret.fromSecretCompleteArn(this, 'Settings', settingsSecretArn);
    this.administratorSecret = this.createAdministrator();
  }

  private createUsers(deletionProtection: boolean): Table {
    const users = new Table(this, 'Users', {
      ...TABLE,
      deletionProtection,
      partitionKey: { name: USERS_TABLE.partitionKey, type: AttributeType.STRING },
      stream: STREAM_VIEWS.usersTable,
    });
    users.addGlobalSecondaryIndex({
      indexName: USERS_TABLE.listIndex,
      partitionKey: { name: USERS_TABLE.listPartitionKey, type: AttributeType.STRING },
      sortKey: { name: USERS_TABLE.partitionKey, type: AttributeType.STRING },
      projectionType: ProjectionType.INCLUDE,
      nonKeyAttributes: [...USERS_TABLE.listProjection],
    });
    users.addGlobalSecondaryIndex({
      indexName: USERS_TABLE.addressIndex,
      partitionKey: { name: USERS_TABLE.addressPartitionKey, type: AttributeType.STRING },
      sortKey: { name: USERS_TABLE.partitionKey, type: AttributeType.STRING },
      projectionType: ProjectionType.KEYS_ONLY,
    });
    users.addGlobalSecondaryIndex({
      indexName: USERS_TABLE.administratorIndex,
      partitionKey: { name: USERS_TABLE.administratorPartitionKey, type: AttributeType.STRING },
      sortKey: { name: USERS_TABLE.partitionKey, type: AttributeType.STRING },
      projectionType: ProjectionType.KEYS_ONLY,
    });
    return users;
  }

  private createOperations(deletionProtection: boolean): Table {
    return new Table(this, 'Operations', {
      ...TABLE,
      deletionProtection,
      partitionKey: { name: OPERATIONS_TABLE.partitionKey, type: AttributeType.STRING },
      sortKey: { name: OPERATIONS_TABLE.sortKey, type: AttributeType.STRING },
      timeToLiveAttribute: OPERATIONS_TABLE.ttl,
      stream: STREAM_VIEWS.operationsTable,
    });
  }

  private createSettings(): Secret {
    const secret = new Secret(this, 'Settings', {
      description: 'Rollcall: settings and the bind password of the directory, as one document.',
      // The empty document means that nothing is configured yet. It holds nothing secret. CloudFormation writes it only
      // when this line changes, so it never overwrites what an administrator has saved.
      secretStringValue: SecretValue.unsafePlainText('{}'),
      removalPolicy: KEPT,
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'The bind password belongs to the directory: an administrator changes it there and then saves it here.',
    });
    return secret;
  }

  private createAdministrator(): Secret {
    const secret = new Secret(this, 'Administrator', {
      description: 'Rollcall: user name and first password of the first administrator.',
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ userName: 'admin' }),
        generateStringKey: 'password',
        passwordLength: 32,
        excludePunctuation: true,
      },
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Used once, to create the first administrator; the user database keeps the current password as a hash.',
    });
    return secret;
  }
}
