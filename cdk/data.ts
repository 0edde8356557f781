/**
 * The stored data: users, operations, settings and the first administrator's password. Knows nothing of its readers.
 */
import { RemovalPolicy, SecretValue, Validations } from 'aws-cdk-lib';
import {
  AttributeType,
  BillingMode,
  ProjectionType,
  StreamViewType,
  Table,
  TableEncryption,
  type TableProps,
} from 'aws-cdk-lib/aws-dynamodb';
import type { Conditions } from 'aws-cdk-lib/aws-iam';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { OPERATIONS_TABLE, USERS_TABLE } from '../lib/aws/environment.ts';

// No deployment ever removes these tables: the users are what the whole system is for.
const KEPT = {
  billingMode: BillingMode.PAY_PER_REQUEST,
  encryption: TableEncryption.AWS_MANAGED,
  pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
  deletionProtection: true,
  removalPolicy: RemovalPolicy.RETAIN,
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
  readonly users: Table;
  readonly operations: Table;
  readonly settingsSecret: Secret;
  readonly administratorSecret: Secret;

  constructor(scope: Construct, id: string) {
    super(scope, id);

    this.users = new Table(this, 'Users', {
      ...KEPT,
      partitionKey: { name: USERS_TABLE.partitionKey, type: AttributeType.STRING },
      stream: StreamViewType.NEW_AND_OLD_IMAGES,
    });
    this.users.addGlobalSecondaryIndex({
      indexName: USERS_TABLE.listIndex,
      partitionKey: { name: USERS_TABLE.listPartitionKey, type: AttributeType.STRING },
      sortKey: { name: USERS_TABLE.partitionKey, type: AttributeType.STRING },
      projectionType: ProjectionType.INCLUDE,
      nonKeyAttributes: [...USERS_TABLE.listProjection],
    });
    this.users.addGlobalSecondaryIndex({
      indexName: USERS_TABLE.addressIndex,
      partitionKey: { name: USERS_TABLE.addressPartitionKey, type: AttributeType.STRING },
      sortKey: { name: USERS_TABLE.partitionKey, type: AttributeType.STRING },
      projectionType: ProjectionType.KEYS_ONLY,
    });

    this.operations = new Table(this, 'Operations', {
      ...KEPT,
      partitionKey: { name: OPERATIONS_TABLE.partitionKey, type: AttributeType.STRING },
      sortKey: { name: OPERATIONS_TABLE.sortKey, type: AttributeType.STRING },
      timeToLiveAttribute: OPERATIONS_TABLE.ttl,
      stream: StreamViewType.NEW_IMAGE,
    });

    this.settingsSecret = new Secret(this, 'Settings', {
      description: 'Rollcall: settings and the bind password of the directory, as one document.',
      // The empty document means that nothing is configured yet. It holds nothing secret. CloudFormation writes it only
      // when this line changes, so it never overwrites what an administrator has saved.
      secretStringValue: SecretValue.unsafePlainText('{}'),
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(this.settingsSecret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'The bind password belongs to the directory: an administrator changes it there and then saves it here.',
    });

    this.administratorSecret = new Secret(this, 'Administrator', {
      description: 'Rollcall: user name and first password of the first administrator.',
      generateSecretString: {
        secretStringTemplate: JSON.stringify({ userName: 'admin' }),
        generateStringKey: 'password',
        passwordLength: 32,
        excludePunctuation: true,
      },
    });
    Validations.of(this.administratorSecret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'Used once, to create the first administrator; the user database keeps the current password as a hash.',
    });
  }
}
