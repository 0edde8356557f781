/**
 * Completes settings that an earlier version has stored. The stored document stays as it is until an administrator
 * saves the settings. Documents that clients send get the defaults of the schema instead.
 */
import { PROFILE_FIELDS } from '../user/user.ts';
import type { OptionSettings, Settings } from './settings.ts';

/** The limit that applies unless an administrator sets another one. */
export const DEFAULT_REMOVAL_LIMIT: OptionSettings['removalLimit'] = { percent: 10, atLeast: 3, windowHours: 24 };

/** The default of the versions that counted the removals of each run by itself. */
const FORMER_DEFAULT = { percent: 10, atLeast: 20 };

const WHAT_TO_DO = 'Save the settings, with this limit or another one, to confirm it.';

const NOTHING_MAPPED = Object.fromEntries(PROFILE_FIELDS.map((field) => [field, '']));

/** Settings as an earlier version may have stored them. */
export interface EarlierSettings extends Omit<Settings, 'mapping' | 'options'> {
  readonly mapping: Partial<Settings['mapping']>;
  readonly options: Omit<OptionSettings, 'removalLimit'> & { readonly removalLimit: EarlierLimit };
}

type EarlierLimit = Omit<OptionSettings['removalLimit'], 'windowHours'> & { readonly windowHours?: number };

/** The complete settings, and what an administrator should know about the changes, as whole sentences. */
export function upgradeSettings(stored: EarlierSettings): {
  readonly settings: Settings;
  readonly notices: readonly string[];
} {
  const { removalLimit, notices } = upgradeLimit(stored.options.removalLimit);
  // A document that was stored before a field could be mapped does not map it.
  const mapping = { ...NOTHING_MAPPED, ...stored.mapping } as Settings['mapping'];
  return { settings: { ...stored, mapping, options: { ...stored.options, removalLimit } }, notices };
}

function upgradeLimit({ percent, atLeast, windowHours }: EarlierLimit) {
  if (windowHours !== undefined) return { removalLimit: { percent, atLeast, windowHours }, notices: [] };
  const next = DEFAULT_REMOVAL_LIMIT;
  if (percent === FORMER_DEFAULT.percent && atLeast === FORMER_DEFAULT.atLeast) {
    const notice =
      `The removal limit was the former default (${percent} %, at least ${atLeast}, in each run) and is now ` +
      `${next.percent} %, at least ${next.atLeast}, within ${next.windowHours} hours. ${WHAT_TO_DO}`;
    return { removalLimit: next, notices: [notice] };
  }
  const notice =
    `The removal limit (${percent} %, at least ${atLeast}) now counts the removals of ${next.windowHours} hours ` +
    `instead of one run. ${WHAT_TO_DO}`;
  return { removalLimit: { percent, atLeast, windowHours: next.windowHours }, notices: [notice] };
}
