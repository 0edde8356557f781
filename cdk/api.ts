/**
 * The administration API: the HTTP API, the function behind it, its permissions and its alarms. Knows no routes: the
 * function has them.
 */
import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import {
  HttpApi,
  HttpMethod,
  HttpStage,
  LogGroupLogDestination,
  PayloadFormatVersion,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import {
  APPROVAL_PARTITION,
  LEASE_KEY,
  OPERATIONS_PREFIX,
  RUN_PARTITION,
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
}

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

  constructor(scope: Construct, id: string, { data, monitoring, defaults, sync }: ApiProps) {
    super(scope, id);
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
        scheduleName: sync.schedule.ref,
        scheduleGroup: sync.schedule.groupName!,
        syncFunction: sync.handler.functionName,
      },
    });
    this.allowStores(data);
    this.allowSync(sync);

    this.httpApi = new HttpApi(this, 'HttpApi', { apiName: 'rollcall', createDefaultStage: false });
    const routes = this.httpApi.addRoutes({
      path: '/api/{proxy+}',
      methods: [HttpMethod.ANY],
      integration: new HttpLambdaIntegration('Integration', this.handler, {
        payloadFormatVersion: PayloadFormatVersion.VERSION_2_0,
      }),
    });
    for (const route of routes) {
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason: 'The function itself checks the session of every call that needs one.',
      });
    }

    const accessLog = new LogGroup(this, 'AccessLog', {
      retention: defaults.logRetention,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const stage = new HttpStage(this, 'Stage', {
      httpApi: this.httpApi,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: 25, burstLimit: 50 },
      detailedMetricsEnabled: true,
      accessLogSettings: {
        destination: new LogGroupLogDestination(accessLog),
        format: AccessLogFormat.custom(JSON.stringify(ACCESS_LOG)),
      },
    });
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

  private allowStores({ users, operations, settingsSecret, administratorSecret }: Data): void {
    this.handler.allow(
      ['dynamodb:Query'],
      [USERS_TABLE.listIndex, USERS_TABLE.addressIndex].map((index) => `${users.tableArn}/index/${index}`),
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
    this.handler.allow(['secretsmanager:GetSecretValue'], [administratorSecret.secretArn]);
  }

  private allowSync({ handler, schedule, scheduleRole }: Sync): void {
    this.handler.allow(['lambda:InvokeFunction'], [handler.functionArn]);
    this.handler.allow(['scheduler:GetSchedule', 'scheduler:UpdateSchedule'], [schedule.attrArn]);
    // UpdateSchedule passes the role of the schedule on again.
    this.handler.allow(['iam:PassRole'], [scheduleRole.roleArn], {
      StringEquals: { 'iam:PassedToService': 'scheduler.amazonaws.com' },
    });
  }
}
