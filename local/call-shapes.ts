/**
 * Records which calls the stack makes, without their data: one line for each caller, action, resource and set of
 * condition keys. The tests compare the lines with the policies later. Judges nothing.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import {
  APPROVAL_PARTITION,
  GUARD_PARTITION,
  LEASE_KEY,
  OPERATIONS_PREFIX,
  RUN_PARTITION,
  SETTINGS_LOCK_KEY,
} from '../lib/aws/environment.ts';
import type { Caller } from './policy-authority.ts';
import type { Call, RequestContext } from './policy-language.ts';

/** One kind of call. `caller` is the name of a role, or a service such as `scheduler.amazonaws.com`. */
export interface CallShape {
  readonly caller: string;
  readonly action: string;
  readonly resource: string;
  readonly context: RequestContext;
}

// Keys that say what an item is; all others say whose it is.
const KINDS: ReadonlySet<string> = new Set([
  APPROVAL_PARTITION,
  GUARD_PARTITION,
  LEASE_KEY.pk,
  RUN_PARTITION,
  SETTINGS_LOCK_KEY.pk,
]);
const PREFIXES = Object.values(OPERATIONS_PREFIX);
/** Stands for data in a key. */
const ANY = 'x';

/** Writes each shape once into a file in `folder` that no other process writes. */
export function createShapeRecorder(folder: string): (caller: Caller, call: Call) => void {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${process.pid}.jsonl`);
  const seen = new Set<string>();
  return (caller, call) => {
    const line = JSON.stringify(toShape(caller, call));
    if (seen.has(line)) return;
    seen.add(line);
    appendFileSync(file, `${line}\n`);
  };
}

function toShape(caller: Caller, { action, resource, context }: Call): CallShape {
  const keys = context['dynamodb:LeadingKeys'];
  return {
    caller: caller.kind === 'role' ? caller.role : caller.service,
    action,
    resource,
    context: keys === undefined ? context : { ...context, 'dynamodb:LeadingKeys': anonymize(keys) },
  };
}

function anonymize(keys: readonly string[]): string[] {
  const kinds = keys.map((key) => {
    if (KINDS.has(key)) return key;
    return `${PREFIXES.find((prefix) => key.startsWith(prefix)) ?? ''}${ANY}`;
  });
  return [...new Set(kinds)].toSorted();
}
