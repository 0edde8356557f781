/**
 * A stand-in for Secrets Manager: the calls that the product and its provisioning make, with their rules for versions
 * and staging labels, in the protocol of the AWS SDKs (AWS JSON 1.1). Checks no signature: it listens on this machine
 * only.
 * @see https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { readBody, type RequestHandler } from './http-api.ts';
import { openState } from './kept-state.ts';
import { checkRequests } from './service-model.ts';
import { LOCAL_ACCOUNT, LOCAL_REGION } from './template.ts';

interface Version {
  readonly id: string;
  readonly value: string;
  readonly createdAt: number;
  stages: string[];
}

interface Secret {
  readonly name: string;
  readonly arn: string;
  readonly description: string;
  readonly createdAt: number;
  /** Oldest first. */
  versions: Version[];
}

interface Input {
  readonly Name?: string;
  readonly Description?: string;
  readonly SecretId?: string;
  readonly SecretString?: string;
  readonly ClientRequestToken?: string;
  readonly VersionId?: string;
  readonly VersionStage?: string;
  readonly VersionStages?: readonly string[];
  readonly MoveToVersionId?: string;
  readonly RemoveFromVersionId?: string;
}

const LARGEST_SECRET = 65_536;
const LARGEST_BODY = 1024 * 1024;
/** Versions without a label make room for new ones once they are a day old; until then, there is no room for more. */
const MOST_VERSIONS = 100;
const KEPT_SECONDS = 24 * 60 * 60;
const CURRENT = 'AWSCURRENT';
const PREVIOUS = 'AWSPREVIOUS';

class Refusal extends Error {
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** Options of the stand-in. */
export interface SecretsManagerOptions {
  /** Where secrets are kept, readable by their owner only; without it they are in memory. */
  readonly folder?: string;
  /** The time in epoch seconds, as the protocol requires. */
  readonly now?: () => number;
}

/** Starts with the kept secrets. */
export function createSecretsManager({
  folder,
  now = () => Date.now() / 1_000,
}: SecretsManagerOptions = {}): RequestHandler {
  const { document: secrets, save } = openState<Secret[]>(folder, 'secrets.json', []);

  function find({ SecretId: id }: Input): Secret {
    const secret = secrets.find(({ name, arn }) => name === id || arn === id);
    if (secret === undefined) {
      throw new Refusal('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    }
    return secret;
  }

  const operations: Readonly<Record<string, (input: Input) => unknown>> = {
    CreateSecret(input) {
      const name = required(input, 'Name');
      if (secrets.some((secret) => secret.name === name)) {
        throw new Refusal('ResourceExistsException', `The operation failed because the secret ${name} already exists.`);
      }
      const suffix = randomBytes(3).toString('hex');
      const arn = `arn:aws:secretsmanager:${LOCAL_REGION}:${LOCAL_ACCOUNT}:secret:${name}-${suffix}`;
      const secret = { name, arn, description: input.Description ?? '', createdAt: now(), versions: [] };
      const version = input.SecretString === undefined ? null : addVersion(secret, input, now());
      secrets.push(secret);
      return { ...identity(secret), ...(version && { VersionId: version.id }) };
    },

    DescribeSecret(input) {
      const secret = find(input);
      const labelled = secret.versions.filter(({ stages }) => stages.length > 0);
      return {
        ...identity(secret),
        Description: secret.description,
        CreatedDate: secret.createdAt,
        LastChangedDate: secret.versions.at(-1)?.createdAt ?? secret.createdAt,
        VersionIdsToStages: Object.fromEntries(labelled.map(({ id, stages }) => [id, stages])),
      };
    },

    GetSecretValue(input) {
      const secret = find(input);
      const { VersionId: id, VersionStage: stage = id === undefined ? CURRENT : undefined } = input;
      const version = secret.versions.find(
        (each) => (id === undefined || each.id === id) && (stage === undefined || each.stages.includes(stage)),
      );
      if (version === undefined) {
        const sought = id === undefined ? `staging label: ${stage}` : `VersionId: ${id}`;
        throw new Refusal(
          'ResourceNotFoundException',
          `Secrets Manager can't find the specified secret value for ${sought}`,
        );
      }
      return { ...valueOf(secret, version), SecretString: version.value, CreatedDate: version.createdAt };
    },

    PutSecretValue(input) {
      const secret = find(input);
      return valueOf(secret, addVersion(secret, input, now()));
    },

    UpdateSecretVersionStage(input) {
      const secret = find(input);
      const stage = required(input, 'VersionStage');
      const { MoveToVersionId: to, RemoveFromVersionId: from } = input;
      const holder = secret.versions.find(({ stages }) => stages.includes(stage));
      if (to !== undefined && !secret.versions.some(({ id }) => id === to)) {
        throw new Refusal('ResourceNotFoundException', `Secrets Manager can't find the version ${to}.`);
      }
      if (from !== undefined && holder?.id !== from) {
        throw new Refusal('InvalidParameterException', `The staging label ${stage} isn't on the version ${from}.`);
      }
      if (to !== undefined && from === undefined && holder !== undefined && holder.id !== to) {
        throw new Refusal(
          'InvalidParameterException',
          `The parameter RemoveFromVersionId can't be empty. Staging label ${stage} is currently attached to version ` +
            `${holder.id}, so you must explicitly reference that version in RemoveFromVersionId.`,
        );
      }
      if (to === undefined && stage === CURRENT) {
        throw new Refusal(
          'InvalidParameterException',
          `You can't remove the staging label ${CURRENT}; move it to another version.`,
        );
      }
      attach(secret, stage, to);
      return identity(secret);
    },
  };

  return checkRequests('secretsmanager', async (request, response) => {
    const answer = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      const common = { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomUUID() };
      response.writeHead(status, { ...common, ...headers }).end(JSON.stringify(body));
    };
    try {
      const body = await readBody(request, LARGEST_BODY);
      const target = String(request.headers['x-amz-target'] ?? '').replace(/^secretsmanager\./u, '');
      const operation = Object.hasOwn(operations, target) ? operations[target] : undefined;
      if (operation === undefined || body === null) {
        throw new Refusal('InvalidRequestException', `this stand-in does not support the operation "${target}"`);
      }
      const result = operation(JSON.parse(body.toString('utf8') || '{}') as Input);
      if (!/^(?:Get|Describe)/u.test(target)) save();
      answer(200, result);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      answer(400, { __type: error.type, Message: error.message }, { 'x-amzn-errortype': error.type });
    }
  });
}

/** Adds a version. A repeated request with the same token and value returns the existing version. */
function addVersion(secret: Secret, input: Input, createdAt: number): Version {
  const value = required(input, 'SecretString');
  if (Buffer.byteLength(value) > LARGEST_SECRET) {
    throw new Refusal('InvalidParameterException', `The secret value is longer than ${LARGEST_SECRET} bytes.`);
  }
  const id = input.ClientRequestToken ?? randomUUID();
  const existing = secret.versions.find((version) => version.id === id);
  if (existing !== undefined) {
    if (existing.value === value) return existing;
    throw new Refusal('ResourceExistsException', `The version ${id} already exists with another value.`);
  }
  makeRoom(secret, createdAt);
  const stages = secret.versions.length === 0 ? [CURRENT] : (input.VersionStages ?? [CURRENT]);
  const version: Version = { id, value, createdAt, stages: [] };
  secret.versions.push(version);
  for (const stage of stages) attach(secret, stage, id);
  return version;
}

/** @see https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html */
function makeRoom(secret: Secret, now: number): void {
  const old = secret.versions.filter(({ stages, createdAt }) => stages.length === 0 && createdAt <= now - KEPT_SECONDS);
  const dropped = new Set(old.slice(0, Math.max(0, secret.versions.length - MOST_VERSIONS + 1)));
  secret.versions = secret.versions.filter((each) => !dropped.has(each));
  if (secret.versions.length < MOST_VERSIONS) return;
  throw new Refusal('LimitExceededException', `The secret ${secret.name} has ${MOST_VERSIONS} versions.`);
}

/** Moves a label. It is on one version at most; AWSPREVIOUS follows AWSCURRENT. */
function attach(secret: Secret, stage: string, to: string | undefined): void {
  const holder = secret.versions.find(({ stages }) => stages.includes(stage));
  if (holder?.id === to) return;
  if (stage === CURRENT && holder !== undefined) attach(secret, PREVIOUS, holder.id);
  for (const version of secret.versions) {
    version.stages = version.stages.filter((each) => each !== stage);
    if (version.id === to) version.stages.push(stage);
  }
}

function valueOf(secret: Secret, { id, stages }: Version) {
  return { ...identity(secret), VersionId: id, VersionStages: stages };
}

function identity({ arn, name }: Secret) {
  return { ARN: arn, Name: name };
}

function required(input: Input, field: 'Name' | 'SecretString' | 'VersionStage'): string {
  const value = input[field];
  if (typeof value === 'string' && value !== '') return value;
  throw new Refusal('InvalidParameterException', `You must provide ${field}.`);
}
