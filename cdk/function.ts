/**
 * A Lambda function of the product with all its defaults: runtime, bundle, log group, role. Knows nothing of what a
 * function does. Bundling needs neither network nor Docker.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { AssetHashType, DockerImage, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal, type Conditions } from 'aws-cdk-lib/aws-iam';
import {
  ApplicationLogLevel,
  Architecture,
  Code,
  Function as LambdaFunction,
  LoggingFormat,
  Runtime,
  SystemLogLevel,
  type FunctionProps,
} from 'aws-cdk-lib/aws-lambda';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { buildSync } from 'esbuild';
import { ENVIRONMENT, type EnvironmentName } from '../lib/aws/environment.ts';
import type { Network } from './network.ts';

/** The properties that all functions of a deployment share. */
export interface FunctionDefaults {
  readonly logRetention: RetentionDays;
  readonly logLevel: ApplicationLogLevel;
  readonly network: Network | undefined;
}

/** The properties of one function; those of Lambda replace the defaults. */
export interface ProductFunctionProps extends Partial<Omit<FunctionProps, 'environment'>> {
  readonly defaults: FunctionDefaults;
  /** The file in functions/ that exports `handler`. */
  readonly entry: string;
  readonly environment: Partial<Record<EnvironmentName, string>>;
  /**
   * Files to put beside the bundle, compressed and named `*.gz`: from their names there to their paths in the project.
   */
  readonly assets?: Assets;
}

type Assets = Readonly<Record<string, string>>;

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** A Lambda function whose role may only write its own log, until `allow` permits more. */
export class ProductFunction extends LambdaFunction {
  constructor(
    scope: Construct,
    id: string,
    { defaults, entry, environment, assets = {}, ...props }: ProductFunctionProps,
  ) {
    const logGroup = new LogGroup(scope, `${id}Log`, {
      retention: defaults.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new Role(scope, `${id}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(role);

    super(scope, id, {
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      handler: 'index.handler',
      code: bundle(entry, assets),
      timeout: Duration.seconds(10),
      memorySize: 512,
      role,
      logGroup,
      loggingFormat: LoggingFormat.JSON,
      ...lambdaLogLevels(defaults.logLevel),
      environment: {
        ...Object.fromEntries(
          Object.entries({ logLevel: defaults.logLevel, ...environment }).map(([name, value]) => [
            ENVIRONMENT[name as EnvironmentName],
            value,
          ]),
        ),
        // The service in log lines, and the dimension that tells the metrics of one stack from those of another.
        POWERTOOLS_SERVICE_NAME: Stack.of(scope).stackName,
      },
      ...defaults.network,
      ...props,
    });
    if (defaults.network !== undefined) this.allowNetworkInterfaces(role);
  }

  /** Permits these actions on these resources, given as ARNs. */
  allow(actions: readonly string[], resources: readonly string[], conditions?: Conditions): void {
    this.addToRolePolicy(new PolicyStatement({ actions: [...actions], resources: [...resources], conditions }));
  }

  /** @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions */
  private allowNetworkInterfaces(role: Role): void {
    this.allow(
      [
        'ec2:CreateNetworkInterface',
        'ec2:DeleteNetworkInterface',
        'ec2:DescribeNetworkInterfaces',
        'ec2:DescribeSubnets',
        'ec2:AssignPrivateIpAddresses',
        'ec2:UnassignPrivateIpAddresses',
      ],
      ['*'],
    );
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'Lambda needs these actions to attach the function to the VPC; its network interfaces do not exist yet.',
    });
  }
}

/**
 * Which lines Lambda passes on to the log. A metric is a line without a level, which Lambda takes for INFO: if it
 * filtered by WARN, no alarm would ever go off. So the functions themselves leave out lines below the level. Lambda's
 * own lines, one at the start and one at the end of every invocation, are needed only while looking for something: at
 * WARN it still tells of time-outs and crashes.
 * @see https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
 */
function lambdaLogLevels(logLevel: ApplicationLogLevel): Pick<FunctionProps, LogLevelProperty> {
  return logLevel === ApplicationLogLevel.DEBUG
    ? { applicationLogLevelV2: ApplicationLogLevel.DEBUG, systemLogLevelV2: SystemLogLevel.INFO }
    : { applicationLogLevelV2: ApplicationLogLevel.INFO, systemLogLevelV2: SystemLogLevel.WARN };
}

type LogLevelProperty = 'applicationLogLevelV2' | 'systemLogLevelV2';

/**
 * One ES module that contains everything, also the AWS SDK: it loads in half the time of the runtime's own copy. Its
 * assets are beside it, compressed here once instead of at every start.
 */
function bundle(entry: string, assets: Assets): Code {
  return Code.fromAsset(ROOT, {
    // The hash of the output, so that a change that touches no function deploys none.
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry('unused'),
      // Never run. The CDK treats two bundlings as the same unless their options differ, and ignores `local`.
      command: [entry],
      local: {
        tryBundle(folder) {
          buildSync({
            absWorkingDir: ROOT,
            entryPoints: [path.join('functions', entry)],
            outfile: path.join(folder, 'index.mjs'),
            bundle: true,
            platform: 'node',
            target: 'node24',
            format: 'esm',
            minify: true,
            // Beside the bundle and not referred to in it: costs nothing at run time, and decodes stack traces
            // afterwards.
            sourcemap: 'external',
            mainFields: ['module', 'main'],
            // Lambda passes credentials as environment variables; the rest of the provider chain is dead weight.
            alias: { '@aws-sdk/credential-provider-node': path.join(ROOT, 'lib/aws/environment-credentials.ts') },
            logLevel: 'warning',
          });
          for (const [name, source] of Object.entries(assets)) {
            const target = path.join(folder, `${name}.gz`);
            mkdirSync(path.dirname(target), { recursive: true });
            writeFileSync(target, gzipSync(readFileSync(path.join(ROOT, source)), { level: 9 }));
          }
          return true;
        },
      },
    },
  });
}
