/** A dashboard that answers: do people get in, and is the user database up to date? */
import { Duration } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard as CloudWatchDashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { Api } from './api.ts';
import type { Auth } from './auth.ts';
import type { Console } from './console.ts';
import type { Data } from './data.ts';
import type { Events } from './events.ts';
import type { Monitoring } from './monitoring.ts';
import type { Sync } from './sync.ts';
import type { Watch } from './watch.ts';

/** The parts of the stack whose metrics the dashboard shows. */
export interface DashboardProps {
  readonly data: Data;
  readonly sync: Sync;
  readonly watch: Watch;
  readonly auth: Auth;
  readonly api: Api;
  readonly pages: Console;
  readonly events: Events;
  readonly monitoring: Monitoring;
}

/** The one dashboard of the stack. */
export class Dashboard extends Construct {
  constructor(
    scope: Construct,
    id: string,
    { data, sync, watch, auth, api, pages, events, monitoring }: DashboardProps,
  ) {
    super(scope, id);
    const functions = [sync.handler, watch.handler, auth.handler, api.handler, pages.handler, events.handler];
    new CloudWatchDashboard(this, 'Dashboard', {
      defaultInterval: Duration.days(1),
      widgets: [
        [new AlarmStatusWidget({ title: 'Alarms', alarms: monitoring.alarms, width: 24, height: 3 })],
        [
          graph('Runs', [
            monitoring.metric('runSucceeded', 'Sum'),
            monitoring.metric('runPartial', 'Sum'),
            monitoring.metric('runFailed', 'Sum'),
          ]),
          graph('People read, changes waiting for a decision', [
            monitoring.metric('usersRead', 'Maximum'),
            monitoring.metric('linesWaiting', 'Maximum'),
          ]),
          graph('Run duration', [monitoring.metric('runDuration', 'Maximum')]),
        ],
        [
          graph('Logins', [
            monitoring.metric('loginAccepted', 'Sum'),
            monitoring.metricByDimension('loginRejected', 'reason', 'Sum'),
            monitoring.metric('loginFault', 'Sum'),
          ]),
          graph('Directory latency', [
            monitoring.metric('directoryLatency', 'p50'),
            monitoring.metric('directoryLatency', 'p99'),
          ]),
          graph('Login duration', [
            auth.handler.metricDuration({ statistic: 'p50' }),
            auth.handler.metricDuration({ statistic: 'p99' }),
          ]),
        ],
        [
          graph('API requests', [
            api.httpApi.metricCount(),
            api.httpApi.metricClientError({ statistic: 'Sum' }),
            api.httpApi.metricServerError({ statistic: 'Sum' }),
          ]),
          graph('API latency', [api.httpApi.metricLatency({ statistic: 'p99' })]),
          graph('Function errors and throttles', [
            ...functions.map((handler) => handler.metricErrors()),
            ...functions.map((handler) => handler.metricThrottles()),
          ]),
        ],
        [
          graph(
            'Read capacity consumed',
            [data.users, data.operations].map((table) => table.metricConsumedReadCapacityUnits()),
          ),
          graph(
            'Write capacity consumed',
            [data.users, data.operations].map((table) => table.metricConsumedWriteCapacityUnits()),
          ),
          graph('Failed starts', [sync.failures.metricApproximateNumberOfMessagesVisible({ statistic: 'Maximum' })]),
        ],
        [
          graph('Age of changes waiting to become events', [
            events.handler.metric('IteratorAge', { statistic: 'Maximum' }),
          ]),
        ],
      ],
    });
  }
}

function graph(title: string, left: IMetric[]): IWidget {
  return new GraphWidget({ title, left, width: 8, height: 6 });
}
