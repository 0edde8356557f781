/**
 * Limits guesses, by name and by source, so that a stranger neither tries many passwords nor locks an owner out. Knows
 * neither the password nor the directory: the caller says how an attempt ended.
 *
 * A source is *known* to a name if its user has logged in from it within 30 days. An attempt goes through these states:
 *
 *     asked   -> free         from a known source, against which nothing counts; no write
 *     asked   -> claimed      there is room in the budget; the claim is stored before the password goes anywhere
 *     asked   -> throttled    refusals have used up the budget, or the source has failed at too many names; no write
 *     asked   -> unavailable  the budget is used up, in part by binds that got no answer; no write
 *     claimed -> accepted     the claim is removed, and the source becomes known
 *     claimed -> notCounted   the claim is removed
 *     claimed -> refused      the claim stays, with its verdict; if the source is unknown, its own count goes up by one
 *     claimed -> unanswered   the claim stays, with its verdict
 *     free    -> accepted     no write, except for the time of the known source, once a day
 *     free    -> notCounted   no write
 *     free    -> refused      stored as if it had been claimed
 *     free    -> unanswered   stored as if it had been claimed
 *
 * A name has these budgets in any 15 minutes: 5 attempts from all unknown sources together; from each known source 4
 * refusals, and 5 attempts in all. A claim counts as a refusal until it ends, so a crash errs on the safe side. A login
 * that succeeds clears no other attempts: otherwise each login of the owner would give a stranger a new budget.
 *
 * A claim is written on condition that the record has not changed since it was judged, so claims can't pass each other.
 * A login that loses reads and judges again. If it finds its own claim, the write was done and only its answer lost.
 * What a free attempt costs is written afterwards: only the function's concurrency limits a burst from a known source.
 *
 * An attempt counts while it is less than 15 minutes from now, in either direction. A clock that jumps ahead forgets
 * attempts early; one that jumps back holds nobody up for more than 30 minutes.
 */
import { hash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { RejectionReason } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import { userNameKey } from '../user/user-name.ts';
import type { User } from '../user/user.ts';
import type { Attempt, LoginAttempts, LoginStore, NameAttempts } from './login-store.ts';

/**
 * How an attempt ended. `refused`: the password may have been a guess. `notCounted`: it was not judged, or it was right
 * without letting anybody in. `unanswered`: it went out, and no answer came back.
 */
export type Verdict = 'accepted' | 'refused' | 'notCounted' | 'unanswered';

/** Whether an attempt may go on. */
export type Admission =
  | {
      readonly kind: 'admitted';
      /**
       * Tells how the attempt ended; call it once. @throws ServiceError `storeUnavailable` if the attempt would go
       * uncounted
       */
      settle(verdict: Verdict): Promise<void>;
    }
  /** `waitMs`: milliseconds until an attempt may be admitted again. */
  | { readonly kind: 'throttled'; readonly waitMs: number }
  /** Too many binds within 15 minutes got no answer. */
  | { readonly kind: 'unavailable' };

/** An attempt before the password is verified. */
export interface AttemptAsked {
  /** The name under which attempts are counted. */
  readonly userName: string;
  readonly user: User | null;
  readonly source: string | null;
  /** As `LoginStore.find` has just returned them for this name and this source. */
  readonly found: LoginAttempts;
}

/** The throttle, as a service. */
export interface Throttle {
  /** Decides about an attempt, and claims a part of the budget for it. @throws ServiceError `storeUnavailable` */
  admit(attempt: AttemptAsked): Promise<Admission>;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** How long an attempt counts. */
export const WINDOW_MS = 15 * MINUTE_MS;
/** Attempts at one name in a window, of all unknown sources together. A usual lockout of a directory takes more. */
export const UNKNOWN_SOURCES_LIMIT = 5;
/** Refusals of one known source at one name in a window. */
export const KNOWN_SOURCE_LIMIT = 4;
/** Attempts in a window at which binds without an answer end further ones. */
const ATTEMPTS_LIMIT = 5;
/** Refusals of one source in a window, at all names that do not know it. */
export const SOURCE_LIMIT = 30;
/** Sources of refusals are counted in slots: one addition each, without a condition. */
const SLOT_MS = 5 * MINUTE_MS;
/** Slots that together cover at least a window. */
const SLOTS = WINDOW_MS / SLOT_MS + 1;
/** Sources that a name knows at most; the one that was not seen for longest goes. */
export const KNOWN_SOURCES_LIMIT = 16;
const KNOWN_FOR_MS = 30 * DAY_MS;
/** No login takes longer. A younger claim without a verdict may be given back at any moment. */
const IN_FLIGHT_MS = 30_000;
const MOMENT_MS = 1_000;
/** More than a budget has places, because each lost race means that another attempt has taken one or left one. */
const MAX_RACES = 8;

/** A source as a name knows it: an address is personal data, and two names must not show that they share one. */
export function sourceHash(userName: string, source: string): string {
  return hash('sha256', `${userNameKey(userName)}\n${source}`, 'base64url').slice(0, 16);
}

/** Whether the user has logged in from this source within 30 days. A user who was given the name anew has not. */
export function isKnown(record: NameAttempts | null, user: User | null, source: string | null, now: number): boolean {
  if (record === null || user === null || source === null || record.userId !== user.id) return false;
  const seen = record.known[source];
  return seen !== undefined && isWithin(seen, KNOWN_FOR_MS, now);
}

/** What may happen to an attempt. `source`: its hash if it is known, else null. */
export function judge(
  record: NameAttempts | null,
  refusals: LoginAttempts['source'],
  source: string | null,
  now: number,
): { readonly kind: 'free' | 'claim' } | Exclude<Admission, { kind: 'admitted' }> {
  const counted = countedFor(record, source, now);
  if (source !== null && counted.length === 0) return { kind: 'free' };
  if (isUsedUp(counted, source)) {
    if (refusedOf(counted).length < refusalLimit(source)) return { kind: 'unavailable' };
    return { kind: 'throttled', waitMs: waitFor(refusedOf(counted), now) };
  }
  const waitMs = source === null ? waitOfSource(refusals, now) : 0;
  return waitMs > 0 ? { kind: 'throttled', waitMs } : { kind: 'claim' };
}

/** The record with one more attempt, without what counts no more. */
export function withAttempt(record: NameAttempts | null, attempt: Attempt, revision: string): NameAttempts {
  return renew(record, revision, attempt.at, (attempts) => [...attempts, attempt]);
}

/** The record without an attempt; null if it has none with this id. */
export function withoutAttempt(
  record: NameAttempts | null,
  id: string,
  revision: string,
  now: number,
): NameAttempts | null {
  if (!hasAttempt(record, id)) return null;
  return renew(record, revision, now, (attempts) => attempts.filter((each) => each.id !== id));
}

/** The record with the verdict of an attempt; null if it has none with this id. */
export function withVerdict(
  record: NameAttempts | null,
  { id, verdict }: Required<Pick<Attempt, 'id' | 'verdict'>>,
  revision: string,
  now: number,
): NameAttempts | null {
  if (!hasAttempt(record, id)) return null;
  return renew(record, revision, now, (attempts) =>
    attempts.map((each) => (each.id === id ? { ...each, verdict } : each)),
  );
}

/** The record in which the user has just logged in from this source. Sources of another user are forgotten. */
export function withKnown(record: NameAttempts, userId: string, source: string, now: number): NameAttempts {
  const known = { ...(record.userId === userId ? record.known : {}), [source]: now };
  return renew({ ...record, userId, known }, record.revision, now, (attempts) => attempts);
}

/** Refusals of a source that count now, by the slots of `LoginAttempts.source`. */
export function refusalsOf(refusals: LoginAttempts['source'], now: number): number {
  return liveSlots(refusals, now).reduce((sum, [, count]) => sum + count, 0);
}

/**
 * Whether a rejection may have been a guess. An expired password, or one that must be changed, means that the password
 * was right. That an account has expired, some servers tell whoever asks.
 */
export function countsAsFailure(reason: RejectionReason): boolean {
  return reason !== 'passwordExpired' && reason !== 'passwordMustChange';
}

/** Creates the throttle on its ports. */
export function createThrottle({
  logins,
  clock,
  newId,
}: {
  readonly logins: LoginStore;
  readonly clock: Clock;
  readonly newId: () => string;
}): Throttle {
  const nowMs = (): number => clock.now().getTime();

  /** Changes the record of a name, again if another login wrote in between. `step` gives null if nothing is to do. */
  async function change(
    userName: string,
    found: NameAttempts | null,
    step: (record: NameAttempts | null) => NameAttempts | null,
  ): Promise<void> {
    let record = found;
    for (let race = 0; race < MAX_RACES; race += 1) {
      const next = step(record);
      if (next === null || (await logins.writeAttempts(userName, record, next))) return;
      record = (await logins.find(userName, null)).attempts.name;
    }
  }

  /** Settles an attempt of a known source that has claimed nothing. */
  function settleFree({ userName, user, found }: AttemptAsked, source: string): (verdict: Verdict) => Promise<void> {
    return async (verdict) => {
      const now = nowMs();
      if (verdict === 'notCounted') return;
      if (verdict === 'accepted') {
        await eventually(
          change(userName, found.name, (record) => {
            const isStale = isKnown(record, user, source, now) && !isWithin(record!.known[source]!, DAY_MS, now);
            return isStale ? { ...withKnown(record!, user!.id, source, now), revision: newId() } : null;
          }),
        );
        return;
      }
      const attempt: Attempt = { id: newId(), at: now, source, verdict };
      await change(userName, found.name, (record) => {
        // After as many refusals as the budget has, more change nothing; and forgotten attempts stay forgotten.
        const isLate = !isKnown(record, user, source, now) || isUsedUp(countedFor(record, source, now), source);
        return isLate || hasAttempt(record, attempt.id) ? null : withAttempt(record, attempt, newId());
      });
    };
  }

  function settleClaimed(
    { userName, user, source, found }: AttemptAsked,
    id: string,
    claimed: NameAttempts,
  ): (verdict: Verdict) => Promise<void> {
    const hashed = source === null ? null : sourceHash(userName, source);
    const wasKnown = claimed.attempts.some((each) => each.id === id && each.source !== undefined);
    return async (verdict) => {
      const now = nowMs();
      if (verdict === 'refused') {
        // Without its verdict the claim counts all the same; whoever has to wait is only told a shorter time.
        const told = eventually(
          change(userName, claimed, (record) => withVerdict(record, { id, verdict }, newId(), now)),
        );
        await Promise.all([told, source !== null && !wasKnown ? countSource(source, found.source, now) : null]);
      } else if (verdict === 'unanswered') {
        await change(userName, claimed, (record) => withVerdict(record, { id, verdict }, newId(), now));
      } else {
        await eventually(
          change(userName, claimed, (record) => {
            // Without the claim, all that was kept has been forgotten meanwhile: the login came too early to be known.
            const next = withoutAttempt(record, id, newId(), now);
            if (next === null || verdict === 'notCounted' || user === null || hashed === null) return next;
            return withKnown(next, user.id, hashed, now);
          }),
        );
      }
    };
  }

  async function countSource(source: string, refusals: LoginAttempts['source'], now: number): Promise<void> {
    const live = new Set(liveSlots(refusals, now).map(([slot]) => slot));
    const stale = Object.keys(refusals).filter((slot) => !live.has(Number(slot)));
    await logins.countRefusal(source, slotOf(now), stale, new Date(now + SLOTS * SLOT_MS));
  }

  return {
    async admit(asked) {
      const { userName, user, found } = asked;
      const hashed = asked.source === null ? null : sourceHash(userName, asked.source);
      const id = newId();
      let record = found.name;
      for (let race = 0; race <= MAX_RACES; race += 1) {
        if (record !== null && hasAttempt(record, id)) {
          return { kind: 'admitted', settle: settleClaimed(asked, id, record) };
        }
        const now = nowMs();
        const source = isKnown(record, user, hashed, now) ? hashed : null;
        const judged = judge(record, found.source, source, now);
        if (judged.kind === 'throttled' || judged.kind === 'unavailable') return judged;
        if (judged.kind === 'free') {
          const current = { ...asked, found: { ...found, name: record } };
          return { kind: 'admitted', settle: settleFree(current, source!) };
        }
        const attempt: Attempt = { id, at: now, ...(source !== null && { source }) };
        const claimed = withAttempt(record, attempt, newId());
        if (await logins.writeAttempts(userName, record, claimed)) {
          return { kind: 'admitted', settle: settleClaimed(asked, id, claimed) };
        }
        record = (await logins.find(userName, null)).attempts.name;
      }
      return { kind: 'throttled', waitMs: MOMENT_MS };
    },
  };
}

function isWithin(time: number, spanMs: number, now: number): boolean {
  return Math.abs(now - time) < spanMs;
}

function hasAttempt(record: NameAttempts | null, id: string): record is NameAttempts {
  return record?.attempts.some((each) => each.id === id) ?? false;
}

/** The attempts that count against a known source or, for null, against all unknown ones. */
function countedFor(record: NameAttempts | null, source: string | null, now: number): readonly Attempt[] {
  const attempts = record?.attempts ?? [];
  return attempts.filter((each) => (each.source ?? null) === source && isWithin(each.at, WINDOW_MS, now));
}

function refusedOf(attempts: readonly Attempt[]): readonly Attempt[] {
  return attempts.filter(({ verdict }) => verdict !== 'unanswered');
}

function refusalLimit(source: string | null): number {
  return source === null ? UNKNOWN_SOURCES_LIMIT : KNOWN_SOURCE_LIMIT;
}

function isUsedUp(counted: readonly Attempt[], source: string | null): boolean {
  return counted.length >= ATTEMPTS_LIMIT || refusedOf(counted).length >= refusalLimit(source);
}

/** Milliseconds until the first of the attempts counts no more, or may have been given back. */
function waitFor(attempts: readonly Attempt[], now: number): number {
  if (attempts.some(({ at, verdict }) => verdict === undefined && isWithin(at, IN_FLIGHT_MS, now))) return MOMENT_MS;
  return Math.min(...attempts.map(({ at }) => at)) + WINDOW_MS - now;
}

function slotOf(now: number): number {
  return Math.floor(now / SLOT_MS);
}

function liveSlots(refusals: LoginAttempts['source'], now: number): [slot: number, count: number][] {
  return Object.entries(refusals)
    .map(([slot, count]): [number, number] => [Number(slot), count])
    .filter(([slot]) => Math.abs(slotOf(now) - slot) < SLOTS)
    .sort(([a], [b]) => a - b);
}

/** Milliseconds until a source has fewer refusals than its limit; 0 if it has fewer now. */
function waitOfSource(refusals: LoginAttempts['source'], now: number): number {
  let left = refusalsOf(refusals, now);
  for (const [slot, count] of liveSlots(refusals, now)) {
    if (left < SOURCE_LIMIT) break;
    left -= count;
    if (left < SOURCE_LIMIT) return (slot + SLOTS) * SLOT_MS - now;
  }
  return 0;
}

/** The next state of a record, with only what still counts. */
function renew(
  record: NameAttempts | null,
  revision: string,
  now: number,
  edit: (attempts: readonly Attempt[]) => readonly Attempt[],
): NameAttempts {
  const known = Object.entries(record?.known ?? {})
    .filter(([, seen]) => isWithin(seen, KNOWN_FOR_MS, now))
    .sort(([, a], [, b]) => b - a)
    .slice(0, KNOWN_SOURCES_LIMIT);
  // Whoever has the password can make any number of sources known. Only those that still are take room.
  const isCounted = ({ at, source }: Attempt): boolean =>
    isWithin(at, WINDOW_MS, now) && (source === undefined || known.some(([each]) => each === source));
  const attempts = edit((record?.attempts ?? []).filter(isCounted));
  const ends = [...attempts.map(({ at }) => at + WINDOW_MS), ...known.map(([, seen]) => seen + KNOWN_FOR_MS)];
  return {
    revision,
    attempts,
    userId: record?.userId ?? null,
    known: Object.fromEntries(known),
    expiresAt: Math.max(now, ...ends),
  };
}

/** Waits for a write whose loss costs nobody anything for long: a claim that stays, a source that is not known yet. */
async function eventually(write: Promise<void>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
  }
}
