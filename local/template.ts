/**
 * Synthesizes the stack and reads from its template what this machine must provide: tables, secrets, functions, routes,
 * schedules, event sources and buses. Resolves references to local names. Knows nothing of how these are provided.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CreateTableCommandInput } from '@aws-sdk/client-dynamodb';
import type { CreateScheduleCommandInput } from '@aws-sdk/client-scheduler';

/** A table of the template. */
export interface TableDefinition {
  readonly create: CreateTableCommandInput;
  /** The TTL attribute; undefined: items do not expire. */
  readonly timeToLive: string | undefined;
}

/** A secret of the template. */
export interface SecretDefinition {
  readonly name: string;
  /** Its first value, or the rule to generate it. */
  readonly initial:
    | { readonly value: string }
    | { readonly template: Readonly<Record<string, string>>; readonly key: string; readonly length: number };
}

/** A function of the template. */
export interface LocalFunction {
  readonly name: string;
  readonly arn: string;
  /** Its short name: `auth`, `sync`, `api`. */
  readonly alias: string;
  /** The name of the role that it runs as. */
  readonly role: string;
  readonly logGroup: string;
  /** The ARN of the queue for events that it could not process; undefined: they are dropped. */
  readonly failureQueue: string | undefined;
  readonly modulePath: string;
  readonly exportName: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly memoryMb: number;
}

/** `routeKey` as API Gateway writes it: `ANY /api/{proxy+}`, or `$default`. */
export interface RouteDefinition {
  readonly routeKey: string;
  readonly functionName: string;
  /** The ARN by which API Gateway tells the function where an invocation comes from. */
  readonly sourceArn: string;
}

/** A function's subscription to a table's stream. */
export interface EventSourceDefinition {
  readonly id: string;
  readonly tableName: string;
  readonly functionName: string;
  readonly batchSize: number;
  /** Filter patterns; a record passes if it matches one of them. */
  readonly patterns: readonly object[];
}

/** The parts of the template that this machine provides. */
export interface LocalStack {
  readonly tables: readonly TableDefinition[];
  readonly secrets: readonly SecretDefinition[];
  readonly functions: readonly LocalFunction[];
  readonly routes: readonly RouteDefinition[];
  readonly schedules: readonly CreateScheduleCommandInput[];
  /** Names of the groups of schedules. */
  readonly scheduleGroups: readonly string[];
  readonly eventSources: readonly EventSourceDefinition[];
  /** Names of the event buses. */
  readonly eventBuses: readonly string[];
  /** Everything in the template, also what this machine does not provide. */
  readonly resources: readonly ResolvedResource[];
}

/** A resource of the template, its references resolved to local names and ARNs. */
export interface ResolvedResource {
  readonly type: string;
  readonly name: string;
  /** The name again, where this machine needs no ARN. */
  readonly arn: string;
  readonly properties: Properties;
}

/** The region in local ARNs. None of AWS's, but of the form that AWS demands. */
export const LOCAL_REGION = 'my-machine-1';
/** The account in local ARNs. */
export const LOCAL_ACCOUNT = '000000000000';
/** Credentials for the SDK, which refuses to work without any. */
export const LOCAL_CREDENTIALS = { accessKeyId: 'local', secretAccessKey: 'local' };
/** Configuration of the SDK's clients: the stand-ins check neither value. */
export const LOCAL_CLIENT = { region: LOCAL_REGION, credentials: LOCAL_CREDENTIALS };

/** The last part of a stream's ARN in policies; on AWS, the time of its creation. */
export const STREAM_LABEL = 'local';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PSEUDO_PARAMETERS: Readonly<Record<string, string>> = {
  'AWS::AccountId': LOCAL_ACCOUNT,
  'AWS::Partition': 'aws',
  'AWS::Region': LOCAL_REGION,
  'AWS::StackName': 'Rollcall',
  'AWS::URLSuffix': 'amazonaws.com',
};
// The part of an ARN from the service to the name, by resource type. Roles have no region.
const ARNS: Readonly<Record<string, string>> = {
  'AWS::DynamoDB::Table': 'dynamodb:{}:table/',
  'AWS::Events::EventBus': 'events:{}:event-bus/',
  'AWS::IAM::Role': `iam::${LOCAL_ACCOUNT}:role/`,
  'AWS::Lambda::Function': 'lambda:{}:function:',
  'AWS::Logs::LogGroup': 'logs:{}:log-group:',
  'AWS::SQS::Queue': 'sqs:{}:',
  'AWS::Scheduler::Schedule': 'scheduler:{}:schedule/',
};

/** A resource as the template has it. */
export interface Resource {
  readonly Type: string;
  // The shape depends on the type; the code that reads a property states its type.
  readonly Properties?: Properties;
}

/** The properties of a resource. */
export type Properties = Readonly<Record<string, unknown>>;

/**
 * Runs cdk/app.ts, in a separate process so that its memory is released, and reads the result.
 * @param folder where the cloud assembly goes
 * @throws Error with the output of the synthesis, if it fails
 */
export async function synthesizeStack(folder: string, signal: AbortSignal): Promise<LocalStack> {
  await new Promise<void>((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(ROOT, 'cdk/app.ts')], {
      cwd: ROOT,
      env: { ...process.env, CDK_OUTDIR: folder, CDK_CONTEXT_JSON: '{}' },
      stdio: ['ignore', 'ignore', 'pipe'],
      signal,
    });
    let output = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`the stack could not be synthesized:\n${output.trim()}`)),
    );
  });
  const read = async (name: string): Promise<unknown> => JSON.parse(await readFile(path.join(folder, name), 'utf8'));
  const [template, assets] = await Promise.all([read('Rollcall.template.json'), read('Rollcall.assets.json')]);
  return readStack(
    (template as { Resources: Record<string, Resource> }).Resources,
    (assets as { files: Record<string, { source: { path: string } }> }).files,
    folder,
  );
}

function readStack(
  resources: Readonly<Record<string, Resource>>,
  assets: Readonly<Record<string, { readonly source: { readonly path: string } }>>,
  folder: string,
): LocalStack {
  const resolved = resolveResources(resources);
  const each = <T>(type: string, read: (resource: ResolvedResource) => T): T[] =>
    resolved.filter((resource) => resource.type === type).map(read);

  const failureQueues = new Map(
    each('AWS::Lambda::EventInvokeConfig', ({ properties: { FunctionName, DestinationConfig } }) => [
      FunctionName as string,
      (DestinationConfig as { OnFailure?: { Destination: string } } | undefined)?.OnFailure?.Destination,
    ]),
  );
  const functions = each('AWS::Lambda::Function', ({ name, arn, properties }): LocalFunction => {
    const hash = (properties.Code as { S3Key: string }).S3Key.replace(/\.zip$/, '');
    const [file, exportName] = (properties.Handler as string).split('.') as [string, string];
    return {
      name,
      arn,
      alias: name.replace(/Function$/, '').toLowerCase(),
      role: (properties.Role as string).split('/').at(-1)!,
      logGroup: (properties.LoggingConfig as { LogGroup: string }).LogGroup,
      failureQueue: failureQueues.get(name),
      modulePath: path.join(folder, assets[hash]!.source.path, `${file}.mjs`),
      exportName,
      environment: (properties.Environment as { Variables: Record<string, string> }).Variables,
      timeoutMs: (properties.Timeout as number) * 1000,
      memoryMb: properties.MemorySize as number,
    };
  });
  const integrations = new Map(
    each('AWS::ApiGatewayV2::Integration', ({ name, properties: { IntegrationUri } }) => [
      `integrations/${name}`,
      functions.find(({ arn }) => arn === IntegrationUri)!.name,
    ]),
  );
  return {
    functions,
    tables: each('AWS::DynamoDB::Table', ({ name, properties }) => ({
      create: {
        TableName: name,
        AttributeDefinitions: properties.AttributeDefinitions,
        KeySchema: properties.KeySchema,
        BillingMode: properties.BillingMode,
        ...(properties.GlobalSecondaryIndexes ? { GlobalSecondaryIndexes: properties.GlobalSecondaryIndexes } : {}),
        ...(properties.StreamSpecification
          ? { StreamSpecification: { ...properties.StreamSpecification, StreamEnabled: true } }
          : {}),
      } as CreateTableCommandInput,
      timeToLive: (properties.TimeToLiveSpecification as { AttributeName: string } | undefined)?.AttributeName,
    })),
    secrets: each('AWS::SecretsManager::Secret', ({ name, properties: { SecretString, GenerateSecretString } }) => {
      if (typeof SecretString === 'string') return { name, initial: { value: SecretString } };
      const generate = GenerateSecretString as {
        SecretStringTemplate: string;
        GenerateStringKey: string;
        PasswordLength: number;
      };
      return {
        name,
        initial: {
          template: JSON.parse(generate.SecretStringTemplate) as Record<string, string>,
          key: generate.GenerateStringKey,
          length: generate.PasswordLength,
        },
      };
    }),
    routes: each('AWS::ApiGatewayV2::Route', ({ properties: { ApiId, RouteKey, Target } }) => {
      const routeKey = RouteKey as string;
      // The form is <API>/<stage>/<method>/<path>.
      const source = `${ApiId as string}/$default/${routeKey.replace(' ', '')}`;
      return {
        routeKey,
        functionName: integrations.get(Target as string)!,
        sourceArn: `arn:aws:execute-api:${LOCAL_REGION}:${LOCAL_ACCOUNT}:${source}`,
      };
    }),
    schedules: each(
      'AWS::Scheduler::Schedule',
      ({ name, properties }) => ({ ...properties, Name: name }) as unknown as CreateScheduleCommandInput,
    ),
    scheduleGroups: each('AWS::Scheduler::ScheduleGroup', ({ name }) => name),
    eventSources: each('AWS::Lambda::EventSourceMapping', ({ name, properties }) => ({
      id: name,
      // The ARN of a stream: table/<name>/stream/<label>.
      tableName: (properties.EventSourceArn as string).split('/')[1]!,
      functionName: properties.FunctionName as string,
      batchSize: properties.BatchSize as number,
      patterns: (properties.FilterCriteria as { Filters: { Pattern: string }[] }).Filters.map(
        ({ Pattern }) => JSON.parse(Pattern) as object,
      ),
    })),
    eventBuses: each('AWS::Events::EventBus', ({ name }) => name),
    resources: resolved,
  };
}

/** The resources of a template with all references between them resolved. */
export function resolveResources(resources: Readonly<Record<string, Resource>>): readonly ResolvedResource[] {
  const resolve = createResolver(resources);
  return Object.entries(resources).map(([id, { Type, Properties = {} }]) => ({
    type: Type,
    name: localName(id),
    arn: resolve({ 'Fn::GetAtt': [id, 'Arn'] }) as string,
    properties: resolve(Properties) as Properties,
  }));
}

/** The logical id without the hash that makes it unique: stable across releases, like the id itself. */
function localName(logicalId: string): string {
  return logicalId.replace(/[0-9A-F]{8}$/, '');
}

function nameOf(id: string): string {
  return PSEUDO_PARAMETERS[id] ?? localName(id);
}

/** Resolves the intrinsic functions that the template uses; leaves references to other kinds of resources alone. */
function createResolver(resources: Readonly<Record<string, Resource>>): (value: unknown) => unknown {
  const attributeOf = (id: string, attribute: string): string => {
    const { Type = '', Properties = {} } = resources[id] ?? {};
    const arn = ARNS[Type];
    if (arn === undefined) return localName(id);
    const prefix = `arn:aws:${arn.replace('{}', `${LOCAL_REGION}:${LOCAL_ACCOUNT}`)}`;
    // A schedule's name begins with its group's; the ARN of a log group stands for its streams.
    if (Type === 'AWS::Scheduler::Schedule')
      return `${prefix}${String(resolve(Properties.GroupName ?? 'default'))}/${localName(id)}`;
    if (Type === 'AWS::Logs::LogGroup') return `${prefix}${localName(id)}:*`;
    return attribute === 'StreamArn' ? `${prefix}${localName(id)}/stream/${STREAM_LABEL}` : prefix + localName(id);
  };
  const intrinsics: Readonly<Record<string, (argument: never) => unknown>> = {
    Ref: nameOf,
    'Fn::GetAtt': ([id, attribute]: [string, string]) => attributeOf(id, attribute),
    'Fn::Join': ([separator, parts]: [string, unknown[]]) => parts.map(resolve).join(separator),
    'Fn::Sub': (text: string) => text.replaceAll(/\$\{([^}]+)\}/g, (_match, id: string) => nameOf(id)),
  };
  function resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(resolve);
    if (typeof value !== 'object' || value === null) return value;
    const [[key, argument] = ['', undefined], ...more] = Object.entries(value);
    const intrinsic = more.length === 0 ? intrinsics[key] : undefined;
    if (intrinsic !== undefined) return intrinsic(argument as never);
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, resolve(inner)]));
  }
  return resolve;
}
