/** Reads the context of a deployment (the table in stack.ts) and reports all its faults at once. */
import { ApplicationLogLevel } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Node } from 'constructs';
import { PROXY_SECRET_HEADER } from '../lib/aws/environment.ts';

/** An existing network. A synthesis without credentials cannot look it up, so all ids are given. */
export interface VpcContext {
  readonly vpcId: string;
  readonly subnetIds: readonly string[];
  readonly availabilityZones: readonly string[];
  readonly directoryPorts: readonly number[];
  readonly vpcEndpoints: boolean;
  readonly routeTableIds: readonly string[];
}

/** The context of a deployment, checked and with defaults applied. */
export interface DeploymentContext {
  readonly alarmEmail: string | undefined;
  readonly logRetention: RetentionDays;
  readonly logLevel: ApplicationLogLevel;
  readonly vpc: VpcContext | undefined;
  /** The concurrent logins that Lambda keeps free for the auth function, and its most at once; undefined = neither. */
  readonly authReservedConcurrency: number | undefined;
  /** The header, in lower case, in which a proxy passes on the address of the client; undefined = no proxy. */
  readonly clientAddressHeader: string | undefined;
}

const { DEBUG, INFO, WARN, ERROR } = ApplicationLogLevel;
const LOG_LEVELS = new Map<string, ApplicationLogLevel>([DEBUG, INFO, WARN, ERROR].map((level) => [level, level]));
const RETENTIONS = new Map<string, RetentionDays>(
  Object.values(RetentionDays)
    .filter((days) => typeof days !== 'string')
    .filter((days) => days !== RetentionDays.INFINITE)
    .map((days) => [String(days), days]),
);
/** Whether a name is that of a header (RFC 9110 section 5.1) that can hold a plain list of addresses. */
function isAddressHeader(name: string): boolean {
  // RFC 7239 writes addresses as `for=...`, and API Gateway has a `forwarded` header of its own.
  return /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name) && name !== 'forwarded' && name !== PROXY_SECRET_HEADER;
}

/**
 * The context of a deployment.
 * @throws Error that names every invalid value
 */
export function readContext(node: Node): DeploymentContext {
  const faults: string[] = [];
  const text = (name: string, fallback = ''): string => String(node.tryGetContext(name) ?? fallback).trim();
  const list = (name: string, fallback = ''): string[] => {
    const value: unknown = node.tryGetContext(name) ?? fallback;
    const parts = Array.isArray(value) ? value.map(String) : String(value).split(',');
    return parts.map((part) => part.trim()).filter((part) => part !== '');
  };
  const check = (holds: boolean, fault: string) => {
    if (!holds) faults.push(fault);
  };

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

  const vpc: VpcContext = {
    vpcId: text('vpcId'),
    subnetIds: list('subnetIds'),
    availabilityZones: list('availabilityZones'),
    directoryPorts: list('directoryPorts', '389,636').map(Number),
    vpcEndpoints: text('vpcEndpoints', 'true') === 'true',
    routeTableIds: list('routeTableIds'),
  };
  if (vpc.vpcId !== '') {
    check(vpc.subnetIds.length > 0, 'subnetIds: must name at least one private subnet of vpcId');
    check(
      vpc.subnetIds.length === vpc.availabilityZones.length,
      'availabilityZones: must name the zone of each subnet, in the order of subnetIds',
    );
    check(
      !vpc.vpcEndpoints || vpc.routeTableIds.length > 0,
      'routeTableIds: must name the route tables of the subnets, for the DynamoDB endpoint; ' +
        'set vpcEndpoints=false instead if the subnets already reach AWS',
    );
    check(
      vpc.directoryPorts.length > 0 &&
        vpc.directoryPorts.every((port) => Number.isInteger(port) && port > 0 && port < 65_536),
      'directoryPorts: must be port numbers separated by commas',
    );
    check(['true', 'false'].includes(text('vpcEndpoints', 'true')), 'vpcEndpoints: must be true or false');
  }

  if (faults.length > 0 || logRetention === undefined || logLevel === undefined)
    throw new Error(`invalid context: ${faults.join('; ')}`);
  return {
    alarmEmail: alarmEmail === '' ? undefined : alarmEmail,
    logRetention,
    logLevel,
    vpc: vpc.vpcId === '' ? undefined : vpc,
    authReservedConcurrency: reserved === '' ? undefined : Number(reserved),
    clientAddressHeader: clientAddressHeader === '' ? undefined : clientAddressHeader,
  };
}
