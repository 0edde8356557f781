/**
 * Events that tell other systems about users and runs, in the format of CloudEvents 1.0. Knows neither how a change is
 * noticed nor where events go. docs/events.md documents them for receivers.
 */
import type { Run } from '../sync/run.ts';
import type { PublicUser, User } from '../user/user.ts';
import { PROFILE_FIELDS, toPublicUser, userStatus } from '../user/user.ts';

/** The public fields that a write can change; `status` follows from `disabledBy`. */
const FIELDS = [...PROFILE_FIELDS, 'authentication', 'disabledBy', 'privileges', 'directory'] as const;

/** The old and new values of the fields that changed. */
export type FieldChanges = {
  readonly [Field in (typeof FIELDS)[number]]?: { readonly from: PublicUser[Field]; readonly to: PublicUser[Field] };
};

/** The public changes of one write. */
export interface UserChanges {
  readonly fields: FieldChanges;
  /** Whether the password was set, replaced or removed. Events say no more about it. */
  readonly passwordChanged: boolean;
}

/** The changes between two versions of a user. */
export function compareUsers(before: User, after: User): UserChanges {
  const [old, now] = [toPublicUser(before), toPublicUser(after)];
  const changed = FIELDS.filter((field) => JSON.stringify(old[field]) !== JSON.stringify(now[field]));
  return {
    fields: Object.fromEntries(changed.map((field) => [field, { from: old[field], to: now[field] }])),
    passwordChanged: before.passwordHash !== after.passwordHash,
  };
}

/** The data of each event. `user` is the record after the write or, for a deleted user, the last one. */
export interface EventData {
  'user.created': { readonly user: PublicUser };
  /** Without name and status, which have their own events. */
  'user.updated': { readonly user: PublicUser } & UserChanges;
  'user.renamed': { readonly user: PublicUser; readonly previousUserName: string };
  'user.disabled': { readonly user: PublicUser };
  'user.enabled': { readonly user: PublicUser };
  'user.deleted': { readonly user: PublicUser };
  'run.finished': { readonly run: Run };
}

/** The type of an event. */
export type EventType = keyof EventData;

/** @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes */
export type ProductEvent<Type extends EventType = EventType> = {
  readonly [Each in Type]: {
    readonly specversion: '1.0';
    /** The same in every repetition of an event, so that a receiver can drop duplicates. */
    readonly id: string;
    readonly source: 'rollcall';
    readonly type: Each;
    /** RFC 3339 UTC. */
    readonly time: string;
    /** Id of the user or the run. */
    readonly subject: string;
    readonly datacontenttype: 'application/json';
    readonly data: EventData[Each];
  };
}[Type];

/** What one write did to a user. */
export type UserStep =
  | { readonly kind: 'created'; readonly user: User }
  | { readonly kind: 'changed'; readonly user: User; readonly changes: UserChanges }
  /** `at`: the time of the deletion, in RFC 3339 UTC; the record holds only the time of its last write. */
  | { readonly kind: 'deleted'; readonly user: User; readonly at: string };

/** The events of one write: none if nothing public changed, several if name, status and other fields changed. */
export function toUserEvents(step: UserStep): readonly ProductEvent[] {
  const user = toPublicUser(step.user);
  const event = <Type extends EventType>(type: Type, data: EventData[Type], time = user.updatedAt) =>
    toEvent(type, `${user.id}:${user.version}`, user.id, time, data);
  if (step.kind === 'created') return [event('user.created', { user })];
  // Streams report times in whole seconds, which may lie before the last write.
  if (step.kind === 'deleted') {
    return [event('user.deleted', { user }, step.at > user.updatedAt ? step.at : user.updatedAt)];
  }
  const { fields, passwordChanged } = step.changes;
  const { userName, disabledBy, ...others } = fields;
  const switched = disabledBy && userStatus({ disabledBy: disabledBy.from }) !== user.status;
  const updated = { ...others, ...(disabledBy && !switched && { disabledBy }) };
  const events: ProductEvent[] = [];
  if (userName) events.push(event('user.renamed', { user, previousUserName: userName.from }));
  if (Object.keys(updated).length > 0 || passwordChanged) {
    events.push(event('user.updated', { user, fields: updated, passwordChanged }));
  }
  if (switched) events.push(event(user.status === 'active' ? 'user.enabled' : 'user.disabled', { user }));
  return events;
}

/** The event of a finished run, dry runs included: see `data.run.dryRun`. */
export function toRunEvent(run: Run): ProductEvent {
  return toEvent('run.finished', run.id, run.id, run.finishedAt!, { run });
}

function toEvent<Type extends EventType>(
  type: Type,
  key: string,
  subject: string,
  time: string,
  data: EventData[Type],
): ProductEvent {
  return {
    specversion: '1.0',
    id: `${type}:${key}`,
    source: 'rollcall',
    type,
    time,
    subject,
    datacontenttype: 'application/json',
    data,
  } as ProductEvent;
}
