/**
 * Reads, saves and tests the settings on behalf of an administrator. Knows no HTTP and no LDAP.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import type { DirectoryTest, TestStage } from '../directory/directory-test.ts';
import type { OpenDirectory } from '../directory/directory.ts';
import type { Entry } from '../directory/entry.ts';
import type { Person } from '../directory/mapping.ts';
import { mapEntry } from '../directory/mapping.ts';
import { attributeValues } from '../directory/person-value.ts';
import { invalidRequest, ServiceError } from '../errors.ts';
import type { InputFault } from '../errors.ts';
import { attributeList } from '../settings/attribute-name.ts';
import { firstRun, type WorkingSchedule } from '../settings/schedule.ts';
import type { ScheduleStore, SettingsStore } from '../settings/settings-store.ts';
import type { Presets, ScheduleSettings, Settings, StoredSettings } from '../settings/settings.ts';
import { withPresets } from '../settings/settings.ts';
import type { Profile } from '../user/user.ts';
import { profileOf } from '../user/user.ts';
import { isInEffect, scheduleWarnings, settingsWarnings, showNextRuns } from './settings-presentation.ts';
import { parseSchedule, parseSettings, type ParsedSettings, parseTriedSettings } from './settings-schema.ts';
import { reasonsToRetype } from './stored-password.ts';

/** Time limit of a settings test, whatever the servers do. The API promises an answer within 25 s. */
const TEST_LIMIT_MS = 24_000;
const MAX_RACES = 5;

/** One of the first entries found: the person that a run would map it to, or why a run would skip it. */
export type SampleUser = {
  readonly dn: string;
  /** Values of the mapped attributes in the directory, by attribute name in lower case. */
  readonly attributes: Entry['attributes'];
} & ((Profile & Pick<Person, 'directoryId' | 'disabled'>) | { readonly skipped: string });

/** The vendor's usual values for empty fields, as a JSON merge patch for the settings. */
export interface OfferedPresets {
  readonly scope: Partial<Presets['scope']>;
  readonly mapping: Partial<Presets['mapping']>;
}

/** The result of a settings test. */
export type SettingsTest = Omit<DirectoryTest, 'presets' | 'sample'> & {
  /**
   * The vendor's usual values for the fields that are empty; null if no field is, or if the test did not get that far.
   * The sample is mapped with them if no user name is mapped.
   */
  readonly presets: OfferedPresets | null;
  readonly sample: readonly SampleUser[];
};

/** The saved settings, and the schedule in effect. */
export interface SettingsInEffect {
  readonly stored: StoredSettings;
  /** null = unknown, because the scheduler could not be asked, or has no schedule yet. */
  readonly schedule: WorkingSchedule | null;
}

/** The ports that the settings need. */
export interface ConfigurationPorts {
  readonly settings: SettingsStore;
  readonly schedule: ScheduleStore;
  readonly openDirectory: OpenDirectory;
}

/** The ports that checking settings needs. */
export type ValidationPorts = Pick<ConfigurationPorts, 'settings' | 'schedule'> & { readonly clock: Clock };

/**
 * The saved settings and the schedule in effect; null if no settings are saved.
 *
 * @throws ServiceError `storeUnavailable` if the settings can't be read; an unknown schedule is no fault
 */
export async function readSettings({
  settings,
  schedule,
}: Pick<ConfigurationPorts, 'settings' | 'schedule'>): Promise<SettingsInEffect | null> {
  const [stored, working] = await Promise.all([settings.read(), readSchedule(schedule)]);
  return stored && { stored, schedule: working };
}

/** null if there is none yet, or if it could not be read. */
async function readSchedule(schedule: ScheduleStore): Promise<WorkingSchedule | null> {
  try {
    return await schedule.read();
  } catch (error) {
    if (error instanceof ServiceError) return null;
    throw error;
  }
}

/**
 * Replaces the settings, if they differ from the stored ones, and updates the schedule. Keeps the stored password if
 * the document leaves it out and changes nothing that decides where it goes (`reasonsToRetype`); deletes it if the
 * document has no bind DN.
 *
 * @param expectedVersion the version that the administrator has seen; null = any
 * @throws ServiceError `invalidRequest` with every fault, `versionMismatch`, `conflict`, `throttled` after about 100
 *   changes within a day, `storeUnavailable` (also if the settings are saved but the schedule could not be updated;
 *   the advice says whether to change `options.schedule`)
 */
export async function saveSettings(
  { settings: store, schedule }: ConfigurationPorts,
  document: unknown,
  expectedVersion: string | null,
): Promise<SettingsInEffect> {
  for (let race = 0; race < MAX_RACES; race += 1) {
    const stored = await store.read();
    if (expectedVersion !== null && stored?.version !== expectedVersion) {
      throw new ServiceError('versionMismatch', 'the settings have been changed since they were read', {
        advice: 'Read the settings again and, if the change still makes sense, repeat it.',
      });
    }
    const { settings, password } = completeSettings(parseSettings(document), stored);
    if (password.kind === 'needed') {
      throw invalidRequest([{ path: 'connection.password', message: password.message }]);
    }
    if (stored !== null && isSame(stored, settings, password.text)) {
      return { stored, schedule: await moveSchedule(schedule, settings) };
    }
    const version = await store.write(settings, password.text, stored?.version ?? null);
    if (version === null) continue;
    const saved = { settings, password: password.text, version, notices: [] };
    return { stored: saved, schedule: await moveSchedule(schedule, settings) };
  }
  throw new ServiceError('conflict', 'others are changing the settings; nothing was saved', {
    retryable: true,
    advice: 'Try again. If nobody else is at work, a save has broken off: try again in half a minute.',
  });
}

/** Whether saving would change nothing. Settings that an earlier version stored are saved in the form of today. */
function isSame(stored: StoredSettings, settings: Settings, password: string): boolean {
  return stored.notices.length === 0 && stored.password === password && isDeepStrictEqual(stored.settings, settings);
}

/** Updates the schedule. The settings are already saved, so no fault here may look like a refusal of them. */
async function moveSchedule(schedule: ScheduleStore, { options }: Settings): Promise<WorkingSchedule> {
  try {
    return await schedule.apply(options.schedule);
  } catch (cause) {
    if (!(cause instanceof ServiceError)) throw cause;
    const message = `the settings are saved, but the schedule could not be updated: ${cause.message}`;
    const advice =
      cause.code === 'invalidRequest'
        ? 'Change options.schedule and save the settings again.'
        : `Rollcall tries again within five minutes. If the schedule stays as it is: ${cause.advice ?? 'see the log.'}`;
    throw new ServiceError('storeUnavailable', message, { cause, advice, retryable: cause.retryable });
  }
}

/** What `saveSettings` would say of a document. */
export interface SettingsValidation {
  /** Every fault for which it would be refused; empty = it would be saved. */
  readonly faults: readonly InputFault[];
  /** What is allowed but should be changed, as whole sentences; empty if a field is faulty. */
  readonly warnings: readonly string[];
  /**
   * Start times of the next runs with this schedule (RFC 3339, UTC), at most five; empty = no run would start; null =
   * the schedule is faulty.
   */
  readonly next: readonly string[] | null;
}

/**
 * Checks a document as `saveSettings` would, and saves nothing. Asks no directory.
 *
 * @throws ServiceError `storeUnavailable`
 */
export async function validateSettings(
  { settings: store, schedule: scheduler, clock }: ValidationPorts,
  document: unknown,
): Promise<SettingsValidation> {
  const [stored, working] = await Promise.all([store.read(), readSchedule(scheduler)]);
  const now = clock.now();
  const schedule = parseSchedule(document);
  const next = schedule && showNextRuns(afterSaving(schedule, working, now), now);
  const parsed = parseSettings(document);
  if (parsed.kind === 'invalid') return { faults: parsed.faults, warnings: [], next };
  const { settings } = parsed.value;
  const password = choosePassword(settings, parsed.value.password, stored);
  const faults = password.kind === 'needed' ? [{ path: 'connection.password', message: password.message }] : [];
  const warnings = [...settingsWarnings(settings, now), ...scheduleWarnings(settings.options.schedule, next)];
  return { faults, warnings, next };
}

/** The schedule that would be in effect. Saving a rate unchanged does not restart its period. */
function afterSaving(wanted: ScheduleSettings, working: WorkingSchedule | null, now: Date): WorkingSchedule {
  const start = firstRun(wanted.expression, now);
  if (working !== null && isInEffect(wanted, working) && (working.start === null) === (start === null)) return working;
  return { ...wanted, start, setAt: now };
}

/**
 * Tests settings in stages and shows the first people they find. Changes nothing, and ends within 24 s.
 *
 * @param document settings to test, with or without a mapping; undefined = the stored ones. If the password is left
 *   out, the stored one is used as far as `saveSettings` would keep it; else the test ends before the bind, with the
 *   stage `passwordNeeded`.
 * @throws ServiceError `invalidRequest`; `notConfigured` if there are neither a document nor stored settings;
 *   `storeUnavailable`
 */
export async function testSettings(
  { settings: store, openDirectory, clock }: ConfigurationPorts & { readonly clock: Clock },
  document: unknown,
): Promise<SettingsTest> {
  const stored = await store.read();
  const tried =
    document === undefined ? stored && asStored(stored) : completeSettings(parseTriedSettings(document), stored);
  if (tried === null) {
    throw new ServiceError('notConfigured', 'there are no settings to test', {
      advice: 'Send settings in the body, or save some first.',
    });
  }
  const { password } = tried;
  // Where the password is needed, the connection gets none, so that it cannot send the stored one.
  const directory = openDirectory(tried.settings, password.kind === 'needed' ? '' : password.text);
  try {
    const test =
      password.kind === 'needed'
        ? endBeforeBind(await directory.test(TEST_LIMIT_MS, 'beforeBind'), password.message)
        : await directory.test(TEST_LIMIT_MS, 'everything');
    const mapped = test.presets === null ? tried.settings : withPresets(tried.settings, test.presets);
    const warnings = [
      ...settingsWarnings(tried.settings, clock.now()),
      ...test.warnings,
      ...(mapped.mapping.userName === '' ? [] : sampleWarnings(test.sample, mapped)),
    ];
    if (test.ok && test.count === 0) {
      warnings.push(
        'Nobody was found. Check the base DN, the filter, and whether the bind DN may read the entries there.',
      );
    }
    return {
      ...test,
      presets: test.presets && offerPresets(tried.settings, test.presets),
      sample: test.sample.map((entry) => showEntry(entry, mapped)),
      warnings,
    };
  } finally {
    await directory.close();
  }
}

/** The presets of the fields that are empty; null if there are none. */
function offerPresets({ scope, mapping }: Settings, presets: Presets): OfferedPresets | null {
  const forEmpty = <T extends object>(given: T, usual: Partial<T>): Partial<T> =>
    Object.fromEntries(Object.entries(usual).filter(([field]) => given[field as keyof T] === '')) as Partial<T>;
  const offered = { scope: forEmpty(scope, presets.scope), mapping: forEmpty(mapping, presets.mapping) };
  return Object.values(offered).every((fields) => Object.keys(fields).length === 0) ? null : offered;
}

/** The bind password to use, or why it has to be sent, worded to follow the name of the field. */
type BindPassword =
  | { readonly kind: 'password'; readonly text: string }
  | { readonly kind: 'needed'; readonly message: string };

interface CompleteSettings {
  readonly settings: Settings;
  readonly password: BindPassword;
}

function asStored({ settings, password }: StoredSettings): CompleteSettings {
  return { settings, password: { kind: 'password', text: password } };
}

/** The settings of a valid document, with the password to use. @throws ServiceError `invalidRequest` */
function completeSettings(parsed: ParsedSettings, stored: StoredSettings | null): CompleteSettings {
  if (parsed.kind === 'invalid') throw invalidRequest(parsed.faults);
  const { settings, password } = parsed.value;
  return { settings, password: choosePassword(settings, password, stored) };
}

/** What is given counts and is never compared with the stored password, so that nobody can find that out by trying. */
function choosePassword(
  { connection }: Settings,
  given: string | undefined,
  stored: StoredSettings | null,
): BindPassword {
  if (connection.administrativeDn === '') return { kind: 'password', text: '' };
  const text = given ?? stored?.password ?? '';
  if (text === '') {
    // On many servers, a bind with a name but no password succeeds anonymously (RFC 4513 section 5.1.2).
    return { kind: 'needed', message: 'is required with an administrativeDn; leave out both to read anonymously' };
  }
  const reasons = given === undefined && stored !== null ? reasonsToRetype(stored.settings.connection, connection) : [];
  if (reasons.length === 0) return { kind: 'password', text };
  return {
    kind: 'needed',
    message: `is required, because ${reasons.join(' and ')}; without such changes, the stored one counts`,
  };
}

/** Adds the stage that stands in place of the bind. */
function endBeforeBind(test: DirectoryTest, message: string): DirectoryTest {
  if (!test.ok) return test;
  const stage: TestStage = { name: 'passwordNeeded', ok: false, detail: `connection.password ${message}`, ms: 0 };
  return { ...test, ok: false, stages: [...test.stages, stage] };
}

function showEntry(entry: Entry, { mapping, options }: Settings): SampleUser {
  const mapped = mapEntry(entry, mapping, options.disabledUsers);
  const { dn, attributes } = entry;
  if (mapped.kind === 'skipped') return { dn, attributes, skipped: mapped.skipped.reason };
  const { directoryId, disabled } = mapped.person;
  return { dn, attributes, ...profileOf(mapped.person), directoryId, disabled };
}

/** Warnings about the mapping, from the first entries. */
function sampleWarnings(sample: readonly Entry[], { mapping, options }: Settings): string[] {
  const people = sample
    .map((entry) => mapEntry(entry, mapping, options.disabledUsers))
    .flatMap((mapped) => (mapped.kind === 'person' ? [mapped.person] : []));
  const addressAttributes = attributeList(mapping.emailAddresses).join(' or ');
  const warnings: string[] = [];
  const count = (number: number, sentence: string): void => {
    if (number > 0) warnings.push(`${number} of the first ${sample.length} ${sentence}`);
  };
  count(sample.length - people.length, 'would be skipped; the sample says why.');
  count(
    sample.filter((entry) => attributeValues(entry, mapping.userName).length > 1).length,
    `have several values of ${mapping.userName}: a user keeps a name that is still among them; a new user gets the ` +
      'one in the RDN, else the first in sort order.',
  );
  if (mapping.fullName !== '') {
    count(people.filter(({ fullName }) => fullName === null).length, `have no ${mapping.fullName}.`);
  }
  if (addressAttributes !== '') {
    const without = people.filter(({ emailAddresses }) => emailAddresses.length === 0).length;
    count(without, `have no e-mail address in ${addressAttributes}.`);
  }
  const repeated = people.length - new Set(people.map(({ nameKey }) => nameKey)).size;
  count(repeated, 'have the same user name as another entry; a run would leave all of these alone.');
  return warnings;
}
