/**
 * The administration API: the HTTP API, the function behind it, its permissions and its alarms. Knows of the routes
 * only those that the gateway limits by themselves: the function has all of them.
 */
import { Aws, Duration, Fn, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import {
  HttpApi,
  HttpMethod,
  HttpStage,
  LogGroupLogDestination,
  PayloadFormatVersion,
  type CfnStage,
  type HttpRoute,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import {
  APPROVAL_PARTITION,
  LEASE_KEY,
  OPERATIONS_PREFIX,
  PASSWORD_ROUTES,
  PROXY_SECRET_HEADER,
  RUN_PARTITION,
  SETTINGS_LOCK_KEY,
  USERS_TABLE,
} from '../lib/aws/environment.ts';
import { onlyPartitions, type Data } from './data.ts';
import { ProductFunction, type FunctionDefaults } from './function.ts';
import type { Monitoring } from './monitoring.ts';
import type { Sync } from './sync.ts';

/** The parts of the stack that the API works with. */
export interface ApiProps {
  readonly data: Data;
  readonly monitoring: Monitoring;
  readonly defaults: FunctionDefaults;
  readonly sync: Sync;
  /** The header in which a proxy in front of the API passes on the address of the client; undefined = no proxy. */
  readonly clientAddressHeader: string | undefined;
}

/** For the whole API, and for each route that takes a password without a session. */
const THROTTLE = { rateLimit: 25, burstLimit: 50 };
const PASSWORD_THROTTLE = { rateLimit: 10, burstLimit: 20 };

// Who called which route, and with what result. Leaves out body, query string and headers.
const ACCESS_LOG = {
  requestId: '$context.requestId',
  time: '$context.requestTime',
  ip: '$context.identity.sourceIp',
  method: '$context.httpMethod',
  path: '$context.path',
  route: '$context.routeKey',
  status: '$context.status',
  responseBytes: '$context.responseLength',
  ms: '$context.responseLatency',
  integrationError: '$context.integrationErrorMessage',
};

/** The HTTP API and its function. `url` is its address, `httpApi` takes further routes. */
export class Api extends Construct {
  readonly handler: ProductFunction;
  readonly httpApi: HttpApi;
  readonly url: string;
  /** What a proxy proves itself with; undefined without one. */
  readonly proxySecret: Secret | undefined;

  constructor(scope: Construct, id: string, props: ApiProps) {
    super(scope, id);
    const { data, monitoring, defaults, sync, clientAddressHeader } = props;
    const { stackName } = Stack.of(this);
    this.proxySecret = clientAddressHeader === undefined ? undefined : this.createProxySecret();
    this.handler = new ProductFunction(this, 'Function', {
      defaults,
      entry: 'api.ts',
      description: 'Rollcall: serves the administration API.',
      timeout: Duration.seconds(29),
      memorySize: 1024,
      environment: {
        usersTable: data.users.tableName,
        operationsTable: data.operations.tableName,
        settingsSecret: data.settingsSecret.secretArn,
        administratorSecret: data.administratorSecret.secretArn,
        ...sync.scheduleEnvironment,
        ...(clientAddressHeader !== undefined && { clientAddressHeader }),
        ...(this.proxySecret && { proxySecret: this.proxySecret.secretArn }),
      },
    });
    this.allowStores(data);
    this.handler.allow(['lambda:InvokeFunction'], [sync.handler.functionArn]);
    sync.allowSchedule(this.handler);

    this.httpApi = new HttpApi(this, 'HttpApi', { apiName: stackName, createDefaultStage: false });
    const integration = new HttpLambdaIntegration('Integration', this.handler, {
      payloadFormatVersion: PayloadFormatVersion.VERSION_2_0,
    });
    const passwordRoutes = PASSWORD_ROUTES.flatMap((key) => {
      const [method, path] = key.split(' ') as [HttpMethod, string];
      return this.httpApi.addRoutes({ path, methods: [method], integration });
    });
    const rest = this.httpApi.addRoutes({ path: '/api/{proxy+}', methods: [HttpMethod.ANY], integration });
    for (const route of [...passwordRoutes, ...rest]) {
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason: 'The function itself checks the session of every call that needs one.',
      });
    }

    const accessLog = new LogGroup(this, 'AccessLog', {
      // CloudWatch Logs lets API Gateway write to all groups under /aws/vendedlogs/ by one line of a policy of the
      // account. Each other group has a line of its own there, and 5,120 characters are the limit.
      // https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
      // The last part of the stack's id keeps the name free if a group of a deleted stack is left over.
      logGroupName: `/aws/vendedlogs/${stackName}/api-access-${Fn.select(2, Fn.split('/', Aws.STACK_ID))}`,
      retention: defaults.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const stage = new HttpStage(this, 'Stage', {
      httpApi: this.httpApi,
      stageName: '$default',
      autoDeploy: true,
      throttle: THROTTLE,
      // Alarms and dashboard read the metrics of the whole API. Those by route would be billed one by one.
      detailedMetricsEnabled: false,
      accessLogSettings: {
        destination: new LogGroupLogDestination(accessLog),
        format: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
      },
    });
    this.limitPasswords(stage, passwordRoutes);
    this.url = stage.url;

    monitoring.alarm(this, 'ServerErrors', {
      metric: this.httpApi.metricServerError({ statistic: 'Sum' }),
      summary: 'The administration API has answered a request with a 5xx status.',
      article: 'administration-api-fails',
    });
    monitoring.alarm(this, 'Throttled', {
      metric: this.handler.metricThrottles(),
      summary: 'Lambda has throttled the API function: some requests were not answered.',
      article: 'function-throttled',
    });
  }

  /**
   * Gives each route that takes a password a limit of its own, so that whoever guesses, however often, leaves the
   * sessions of others alone: API Gateway counts the calls of each route apart.
   * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
   */
  private limitPasswords(stage: HttpStage, routes: readonly HttpRoute[]): void {
    const limit = {
      ThrottlingRateLimit: PASSWORD_THROTTLE.rateLimit,
      ThrottlingBurstLimit: PASSWORD_THROTTLE.burstLimit,
      // These settings replace the default ones as a whole.
      DetailedMetricsEnabled: false,
    };
    (stage.node.defaultChild as CfnStage).routeSettings = Object.fromEntries(
      PASSWORD_ROUTES.map((key) => [key, limit]),
    );
    // A stage can only be created with settings of routes that are there.
    stage.node.addDependency(...routes);
  }

  private createProxySecret(): Secret {
    const secret = new Secret(this, 'ProxySecret', {
      description: `Rollcall: the proxy in front of the API sends this in the header ${PROXY_SECRET_HEADER}.`,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
    Validations.of(secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason: 'The proxy holds it too, so only its operator can change both.',
    });
    return secret;
  }

  private allowStores({ users, operations, settingsSecret, administratorSecret }: Data): void {
    this.handler.allow(
      ['dynamodb:Query'],
      [USERS_TABLE.listIndex, USERS_TABLE.addressIndex, USERS_TABLE.administratorIndex].map(
        (index) => `${users.tableArn}/index/${index}`,
      ),
    );
    this.handler.allow(
      [
        'dynamodb:GetItem',
        'dynamodb:BatchGetItem',
        'dynamodb:Scan',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:DeleteItem',
        'dynamodb:ConditionCheckItem',
        'dynamodb:PartiQLInsert',
        'dynamodb:PartiQLDelete',
      ],
      [users.tableArn],
    );
    this.handler.allow(
      [
        'dynamodb:GetItem',
        'dynamodb:BatchGetItem',
        'dynamodb:Query',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:DeleteItem',
      ],
      [operations.tableArn],
      onlyPartitions(
        RUN_PARTITION,
        LEASE_KEY.pk,
        APPROVAL_PARTITION,
        SETTINGS_LOCK_KEY.pk,
        `${OPERATIONS_PREFIX.fence}*`,
        `${OPERATIONS_PREFIX.changes}*`,
        `${OPERATIONS_PREFIX.link}*`,
        `${OPERATIONS_PREFIX.renamed}*`,
        `${OPERATIONS_PREFIX.attempts}*`,
        `${OPERATIONS_PREFIX.session}*`,
      ),
    );
    // Thousands of approvals are given at once.
    this.handler.allow(['dynamodb:BatchWriteItem'], [operations.tableArn], onlyPartitions(APPROVAL_PARTITION));
    this.handler.allow(
      ['secretsmanager:GetSecretValue', 'secretsmanager:PutSecretValue', 'secretsmanager:UpdateSecretVersionStage'],
      [settingsSecret.secretArn],
    );
    this.handler.allow(
      ['secretsmanager:GetSecretValue'],
      [administratorSecret, ...(this.proxySecret ? [this.proxySecret] : [])].map(({ secretArn }) => secretArn),
    );
  }
}
