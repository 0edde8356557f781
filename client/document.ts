/**
 * Short names for the documents of the administration API, and the values of their enumerations in the order in which
 * people read them. The schema decides what they look like.
 */
import type { components } from './schema.ts';

type Schemas = components['schemas'];

export type AcceptedLogin = Extract<Schemas['LoginOutcome'], { readonly outcome: 'accepted' }>;
export type AppliedPrivileges = Schemas['AppliedPrivileges'];
export type Change = Schemas['Change'];
export type ChangePage = Schemas['ChangePage'];
export type Run = Schemas['Run'];
export type RunPage = Schemas['RunPage'];
export type SettingsTest = Schemas['SettingsTest'];
/** Settings to save. */
export type Settings = Schemas['Settings'];
export type User = Schemas['User'];

/** A field of a user before or after a change. */
export type FieldValue = NonNullable<Change['fields']>[string]['from'];

export const CHANGE_KINDS = keysOf({
  created: true,
  updated: true,
  renamed: true,
  linked: true,
  disabled: true,
  enabled: true,
  deleted: true,
  unchanged: true,
  skipped: true,
  conflict: true,
  withheld: true,
} satisfies Every<Change['kind']>);

export const RUN_STATUSES = keysOf({
  running: true,
  succeeded: true,
  partial: true,
  failed: true,
  cancelled: true,
} satisfies Every<Run['status']>);

/** What withheld lines propose. */
export const PROPOSALS = keysOf({ remove: true, link: true, clear: true, enable: true } satisfies Every<
  NonNullable<Change['proposes']>
>);

export const AUTHENTICATIONS = keysOf({ integrated: true, directory: true } satisfies Every<User['authentication']>);

export const USER_STATUSES = keysOf({ active: true, disabled: true } satisfies Every<User['status']>);

/** `satisfies` refuses to compile a value that the schema does not have, and a list that lacks one. */
type Every<Value extends string> = Readonly<Record<Value, true>>;

function keysOf<Key extends string>(record: Every<Key>): readonly Key[] {
  return Object.keys(record) as Key[];
}
