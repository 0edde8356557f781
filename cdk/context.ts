/** Reads the context of a deployment (the table in stack.ts) and reports all its faults at once. */
import { StreamViewType } from 'aws-cdk-lib/aws-dynamodb';
import { ApplicationLogLevel } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Node } from 'constructs';
import { PROXY_SECRET_HEADER } from '../lib/aws/environment.ts';
import { findKeyFaults, type ContextKey } from './context-key.ts';

/** The services of AWS that the functions in a VPC call: `dynamodb` by a gateway endpoint, the others by interface. */
export const VPC_ENDPOINTS = ['secretsmanager', 'scheduler', 'lambda', 'dynamodb'] as const;

/** One of these services. */
export type EndpointName = (typeof VPC_ENDPOINTS)[number];

/** An existing network. A synthesis without credentials cannot look it up, so all ids are given. */
export interface VpcContext {
  readonly vpcId: string;
  readonly subnetIds: readonly string[];
  /** The zone of each subnet. */
  readonly availabilityZones: readonly string[];
  readonly directoryPorts: readonly number[];
  /** The endpoints to create. */
  readonly endpoints: readonly EndpointName[];
  /** For the DynamoDB endpoint. */
  readonly routeTableIds: readonly string[];
  /** Whether functions may connect by IPv6; all subnets then have IPv4 and IPv6 addresses. */
  readonly ipv6: boolean;
}

/** A table of an earlier stack or of a restored backup. */
export interface AdoptedTable {
  readonly tableName: string;
  readonly tableStreamArn: string;
}

/** What a deployment does with its data. Undefined: the stack creates it. */
export interface DataContext {
  readonly usersTable: AdoptedTable | undefined;
  readonly operationsTable: AdoptedTable | undefined;
  /** The complete ARN, with the six characters at its end. */
  readonly settingsSecretArn: string | undefined;
  /** Whether DynamoDB refuses to delete the tables that the stack creates. */
  readonly deletionProtection: boolean;
}

/** The context of a deployment, checked and with defaults applied. */
export interface DeploymentContext {
  /** `Rollcall`, or `Rollcall-<stage>`. */
  readonly stackName: string;
  readonly alarmEmail: string | undefined;
  readonly logRetention: RetentionDays;
  readonly logLevel: ApplicationLogLevel;
  readonly vpc: VpcContext | undefined;
  readonly data: DataContext;
  /** The concurrent logins that Lambda keeps free for the auth function, and its most at once; undefined = neither. */
  readonly authReservedConcurrency: number | undefined;
  /** The header, in lower case, in which a proxy passes on the address of the client; undefined = no proxy. */
  readonly clientAddressHeader: string | undefined;
}

/** Unknown keys or invalid values in the context. The message names all of them. */
export class ContextError extends Error {}

const { DEBUG, INFO, WARN, ERROR } = ApplicationLogLevel;
const LOG_LEVELS = new Map<string, ApplicationLogLevel>([DEBUG, INFO, WARN, ERROR].map((level) => [level, level]));
const RETENTIONS = new Map<string, RetentionDays>(
  Object.values(RetentionDays)
    .filter((days) => typeof days !== 'string')
    .filter((days) => days !== RetentionDays.INFINITE)
    .map((days) => [String(days), days]),
);
/** What the events function reads of each table's stream, also of an adopted one. */
export const STREAM_VIEWS = {
  usersTable: StreamViewType.NEW_AND_OLD_IMAGES,
  operationsTable: StreamViewType.NEW_IMAGE,
} as const;

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
const TABLE_NAME = /^[\w.-]{3,255}$/;
const STREAM_ARN = /^arn:[\w-]+:dynamodb:[\w-]+:\d{12}:table\/([\w.-]+)\/stream\/[\w:.-]+$/;
// Without the six characters that Secrets Manager appends, a policy would name no secret.
const SECRET_ARN = /^arn:[\w-]+:secretsmanager:[\w-]+:\d{12}:secret:[\w/+=.@-]+-[A-Za-z0-9]{6}$/;

/** Whether a name is that of a header (RFC 9110 section 5.1) that can hold a plain list of addresses. */
function isAddressHeader(name: string): boolean {
  // RFC 7239 writes addresses as `for=...`, and API Gateway has a `forwarded` header of its own.
  return /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name) && name !== 'forwarded' && name !== PROXY_SECRET_HEADER;
}

function readData(text: (name: ContextKey) => string, check: (holds: boolean, fault: string) => void): DataContext {
  const readTable = (name: keyof typeof STREAM_VIEWS): AdoptedTable | undefined => {
    const tableName = text(`${name}Name`);
    const tableStreamArn = text(`${name}StreamArn`);
    if (tableName === '' && tableStreamArn === '') return undefined;
    check(TABLE_NAME.test(tableName), `${name}Name: must be the name of the table that ${name}StreamArn belongs to`);
    check(
      STREAM_ARN.exec(tableStreamArn)?.[1] === tableName,
      `${name}StreamArn: must be the ARN of the stream of ${name}Name; a restored table has none before you run ` +
        `"aws dynamodb update-table --table-name ${tableName} ` +
        `--stream-specification StreamEnabled=true,StreamViewType=${STREAM_VIEWS[name]}"`,
    );
    return { tableName, tableStreamArn };
  };

  const settingsSecretArn = text('settingsSecretArn');
  check(
    settingsSecretArn === '' || SECRET_ARN.test(settingsSecretArn),
    'settingsSecretArn: must be the complete ARN of a secret, with the hyphen and the six characters at its end',
  );
  check(
    text('usersTableName') === '' || text('usersTableName') !== text('operationsTableName'),
    'operationsTableName: must be another table than usersTableName',
  );
  const protection = text('deletionProtection');
  check(['', 'true', 'false'].includes(protection), 'deletionProtection: must be true or false');
  return {
    usersTable: readTable('usersTable'),
    operationsTable: readTable('operationsTable'),
    settingsSecretArn: settingsSecretArn === '' ? undefined : settingsSecretArn,
    deletionProtection: protection === 'true',
  };
}

// Without vpcId, each of these would be ignored in silence, and the functions would miss their network.
const VPC_KEYS = [
  'subnetIds',
  'availabilityZones',
  'directoryPorts',
  'vpcEndpoints',
  'routeTableIds',
  'ipv6',
] as const satisfies readonly ContextKey[];

function readVpc(
  text: (name: ContextKey, fallback?: string) => string,
  list: (name: ContextKey, fallback?: string) => string[],
  check: (holds: boolean, fault: string) => void,
): VpcContext | undefined {
  const vpcId = text('vpcId');
  if (vpcId === '') {
    const stray = VPC_KEYS.filter((name) => text(name) !== '');
    check(stray.length === 0, `vpcId: must be given with ${stray.join(', ')}`);
    return undefined;
  }

  const given = list('vpcEndpoints').map((name) => name.toLowerCase());
  const word = given.join();
  const named: readonly string[] =
    word === '' || word === 'true' ? VPC_ENDPOINTS : word === 'none' || word === 'false' ? [] : given;
  const endpoints = VPC_ENDPOINTS.filter((name) => named.some((wanted) => wanted === name));
  check(
    named.every((name) => endpoints.some((endpoint) => endpoint === name)),
    `vpcEndpoints: must be true, none, or some of ${VPC_ENDPOINTS.join(', ')}`,
  );

  const vpc = {
    vpcId,
    subnetIds: list('subnetIds'),
    availabilityZones: list('availabilityZones'),
    directoryPorts: list('directoryPorts', '389,636').map(Number),
    endpoints,
    routeTableIds: list('routeTableIds'),
    ipv6: text('ipv6') === 'true',
  };
  check(vpc.subnetIds.length > 0, 'subnetIds: must name at least one private subnet of vpcId');
  check(
    vpc.subnetIds.length === vpc.availabilityZones.length,
    'availabilityZones: must name the zone of each subnet, in the order of subnetIds',
  );
  check(
    !endpoints.includes('dynamodb') || vpc.routeTableIds.length > 0,
    'routeTableIds: must name the route tables of the subnets, for the DynamoDB endpoint; if the subnets reach ' +
      'DynamoDB already, leave dynamodb out of vpcEndpoints',
  );
  check(
    vpc.directoryPorts.length > 0 &&
      vpc.directoryPorts.every((port) => Number.isInteger(port) && port > 0 && port < 65_536),
    'directoryPorts: must be port numbers separated by commas',
  );
  check(['', 'true', 'false'].includes(text('ipv6')), 'ipv6: must be true or false');
  return vpc;
}

/**
 * The context of a deployment.
 * @throws ContextError that names every unknown key and every invalid value
 */
export function readContext(node: Node): DeploymentContext {
  const faults = findKeyFaults(Object.keys(node.getAllContext() as object));
  const text = (name: ContextKey, fallback = ''): string => String(node.tryGetContext(name) ?? fallback).trim();
  const list = (name: ContextKey, fallback = ''): string[] => {
    const value: unknown = node.tryGetContext(name) ?? fallback;
    const parts = Array.isArray(value) ? value.map(String) : String(value).split(',');
    return parts.map((part) => part.trim()).filter((part) => part !== '');
  };
  const check = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };

  const stage = text('stage');
  check(
    /^(?:[a-z][a-z0-9-]{0,18}[a-z0-9]|[a-z]?)$/.test(stage),
    'stage: must be 1 to 20 lower-case letters, digits and hyphens, beginning with a letter and ending with a letter ' +
      'or digit, such as test',
  );
  const alarmEmail = text('alarmEmail');
  check(alarmEmail === '' || /^[^\s@]+@[^\s@]+$/.test(alarmEmail), 'alarmEmail: must be an e-mail address');
  const logRetention = RETENTIONS.get(text('logRetentionDays', '30'));
  check(logRetention !== undefined, `logRetentionDays: must be one of ${[...RETENTIONS.keys()].join(', ')}`);
  const logLevel = LOG_LEVELS.get(text('logLevel', 'INFO').toUpperCase());
  check(logLevel !== undefined, `logLevel: must be one of ${[...LOG_LEVELS.keys()].join(', ')}`);

  const reserved = text('authReservedConcurrency');
  check(
    reserved === '' || /^[1-9]\d{0,5}$/.test(reserved),
    'authReservedConcurrency: must be a whole number, at least 1; leave it out to reserve nothing',
  );
  const clientAddressHeader = text('clientAddressHeader').toLowerCase();
  check(
    clientAddressHeader === '' || isAddressHeader(clientAddressHeader),
    'clientAddressHeader: must be the name of a header that holds addresses, such as x-forwarded-for',
  );

  const data = readData(text, check);

  const vpc = readVpc(text, list, check);

  if (faults.length > 0 || logRetention === undefined || logLevel === undefined)
    throw new ContextError(`invalid context: ${faults.join('; ')}`);
  return {
    stackName: stage === '' ? 'Rollcall' : `Rollcall-${stage}`,
    alarmEmail: alarmEmail === '' ? undefined : alarmEmail,
    logRetention,
    logLevel,
    vpc,
    data,
    authReservedConcurrency: reserved === '' ? undefined : Number(reserved),
    clientAddressHeader: clientAddressHeader === '' ? undefined : clientAddressHeader,
  };
}
