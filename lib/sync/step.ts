/**
 * One step of a plan: its line, its write, and helpers for all kinds of steps. Decides nothing: plan.ts, removal.ts,
 * link.ts and loss.ts do.
 */
import type { Person } from '../directory/mapping.ts';
import type { MappingSettings, OptionSettings } from '../settings/settings.ts';
import type { Privilege } from '../user/privilege.ts';
import type { UserWrite } from '../user/user-store.ts';
import type { User } from '../user/user.ts';
import { PROFILE_FIELDS } from '../user/user.ts';
import type { Approval } from './approval-store.ts';
import type { GuardCounter } from './run-journal.ts';
import type { Change, ChangeKind, FieldValue, Proposal } from './run.ts';

/** What a user can lose by an update: a field, or the mark that keeps the account disabled. */
export const LOSSES = ['fullName', 'emailAddresses', 'enable'] as const;

/** One of them. */
export type Loss = (typeof LOSSES)[number];

/** Which losses may be carried out. What it does not name stays as it is. */
export interface LossDecision {
  /** By account id. */
  readonly allowed: ReadonlyMap<string, ReadonlySet<Loss>>;
  /** The approvals among them, by account id. */
  readonly approvals: ReadonlyMap<string, readonly Approval[]>;
  /** Why a loss of this kind is withheld. */
  readonly reasons: Partial<Readonly<Record<Loss, string>>>;
}

/** Nothing may be lost: before the decision, and after a lost race. */
export const NO_LOSS: LossDecision = { allowed: new Map(), approvals: new Map(), reasons: {} };

/** The values that all decisions of one run share. */
export interface PlanContext {
  readonly now: Date;
  /** Returns a new account id. */
  readonly newId: () => string;
  /** The attribute that this run's unique ids were read from, in lower case. */
  readonly idAttribute: string;
  readonly mapping: MappingSettings;
  readonly missingUsers: OptionSettings['missingUsers'];
  readonly gracePeriodDays: number;
  readonly defaultPrivileges: readonly Privilege[];
  /** Whether the read shows who owns a name: only then is anybody created, renamed or linked. */
  readonly ownsNames: boolean;
  /** Whether the last complete read came from the same server: only then is a first absence believed. */
  readonly sameServer: boolean;
  /**
   * Account ids of users whom the directory marks, but who stay active because the guard has withheld their removal.
   */
  readonly spared: ReadonlySet<string>;
  /**
   * Since when no run that marked missing users has come to its end; null if the last one has. Whom they marked counts
   * as first missed in this run: together they are one run.
   */
  readonly unfinishedSince: string | null;
  /** Which losses of data and of marks the guard has let pass. */
  readonly losses: LossDecision;
}

/** One user's change: the line for people and the write for the store (null: nothing to write). */
export interface Step {
  readonly change: Change;
  readonly write: UserWrite | null;
  /** The person that the step is about; null if the directory does not show the person. */
  readonly person: Person | null;
  /** The counters of the guard that the write raises. */
  readonly counts: readonly GuardCounter[];
  /** The approvals that the write carries out. */
  readonly approvals: readonly Approval[];
}

/** The user with its current sessions ended for good, even if the user is enabled again. */
export function withoutSessions(user: User): User {
  return { ...user, sessionsValidFrom: user.updatedAt };
}

/** A step that only reports a line. */
export function tell(change: Change): Step {
  return { change, write: null, person: null, counts: [], approvals: [] };
}

/** A step that writes; no counter and no approval are concerned unless `more` names them. */
export function stepOf(
  change: Change,
  write: UserWrite,
  person: Person | null,
  more: Partial<Pick<Step, 'counts' | 'approvals'>> = {},
): Step {
  return { change, write, person, counts: [], approvals: [], ...more };
}

/** The user with a new version and time of change. */
export function touched(user: User, context: PlanContext): User {
  return { ...user, updatedAt: context.now.toISOString(), version: user.version + 1 };
}

type Fields = NonNullable<Change['fields']>;

/** The fields that differ between two versions of a user, for a line. */
export function differences(before: User, after: User): Fields {
  const fields: Record<string, { from: FieldValue; to: FieldValue }> = {};
  const compare = (name: string, from: FieldValue, to: FieldValue): void => {
    if (JSON.stringify(from) !== JSON.stringify(to)) fields[name] = { from, to };
  };
  for (const field of PROFILE_FIELDS) compare(field, before[field], after[field]);
  compare('disabledBy', before.disabledBy, after.disabledBy);
  compare('directory.id', before.directory?.id ?? null, after.directory?.id ?? null);
  compare('directory.dn', before.directory?.dn ?? null, after.directory?.dn ?? null);
  compare('directory.missingSince', before.directory?.missingSince ?? null, after.directory?.missingSince ?? null);
  return fields;
}

/** A line of this kind about a user. */
export function line(kind: ChangeKind, user: User): Change {
  return {
    kind,
    userId: user.id,
    userName: user.userName,
    directoryId: user.directory?.id ?? null,
    dn: user.directory?.dn ?? null,
  };
}

/** The line of something that is not carried out. `proposes`: null if an approval would not help. */
export function withheldLine(user: User, reason: string, proposes: Proposal | null, fields?: Fields): Change {
  return {
    ...line('withheld', user),
    ...(fields !== undefined && Object.keys(fields).length > 0 && { fields }),
    reason,
    ...(proposes !== null && { proposes }),
  };
}

/** The reason of a user whom a mark of the directory disables. */
export const MARKED_DISABLED = 'the directory marks the account as disabled';

/** The reason of a user that changed after it was read. */
export const CHANGED_MEANWHILE = 'the user was changed during the run; the next run looks at it again';
