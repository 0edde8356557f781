/** What the suites have recorded, and why some permissions are in no record. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { CallShape } from '../../../local/call-shapes.ts';
import type { Permission } from './report.ts';

export const SHAPES_FILE = path.join(import.meta.dirname, '../../fixtures/call-shapes.json');

/** The suites that run the whole program. */
export const SUITES = [
  'test/integration/cli.test.ts',
  'test/integration/contract.test.ts',
  'test/integration/examples.test.ts',
  'test/integration/events.test.ts',
  'test/integration/local-program.test.ts',
  'test/integration/permissions.test.ts',
  'test/integration/schedule.test.ts',
];

export function readShapes(): readonly CallShape[] {
  return JSON.parse(readFileSync(SHAPES_FILE, 'utf8')) as CallShape[];
}

/** Permissions that are needed although no suite uses them. `part` and `owner` as in a Permission. */
export const EXPLAINED: readonly { readonly owner: RegExp; readonly part: RegExp; readonly why: string }[] = [
  {
    owner: /^(?:Sync|Events)FunctionRole$/u,
    part: /^sqs:GetQueue(?:Attributes|Url)$/u,
    why: 'the CDK grants it with the destination for failures; nothing calls it',
  },
  {
    owner: /^SyncScheduleRole$/u,
    part: /^(?:sqs:SendMessage|arn:aws:sqs:.*:SyncFailures)$/u,
    why: 'Scheduler needs it when it cannot invoke the function, which it can in all suites',
  },
  {
    owner: /^WatchFunctionRole$/u,
    part: /^dynamodb:LeadingKeys changes#\*$/u,
    why: 'the watch counts the lines of a run that died, which no suite waits for',
  },
  {
    owner: /^EventsFunctionRole$/u,
    part: /^(?:sqs:SendMessage|arn:aws:sqs:.*:EventsFailures)$/u,
    why: 'Lambda needs it when records have failed for 23 hours, which no suite waits for',
  },
];

/** Why a permission is in no record; null if there is no reason. */
export function explain({ owner, part }: Permission): string | null {
  return EXPLAINED.find((each) => each.owner.test(owner) && each.part.test(part))?.why ?? null;
}
