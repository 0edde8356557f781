/**
 * The directory of the current settings: caches the settings for at most a minute, and keeps one Directory (with its
 * warm connections) while they stay the same. While the settings can't be read, those in memory go on counting for up
 * to an hour, and nobody waits for them.
 */
import type { Clock } from '../clock.ts';
import { within } from '../deadline.ts';
import { ServiceError } from '../errors.ts';
import type { SettingsReader } from '../settings/settings-store.ts';
import type { StoredSettings } from '../settings/settings.ts';
import type { Directory, OpenDirectory } from './directory.ts';

/** The directory that the current settings describe. */
export interface CurrentDirectory {
  /**
   * Directory and settings, at most a minute old; null if none are saved. If the settings can't be read, those in
   * memory count until they are an hour old.
   * @throws ServiceError `storeUnavailable` if the settings can't be read and none in memory count
   */
  get(): Promise<{ readonly directory: Directory; readonly stored: StoredSettings } | null>;
  /**
   * Reads the settings again, unless they were read within the last five seconds. True if they changed, so that a
   * failed call is worth repeating; false also if they can't be read.
   */
  refresh(): Promise<boolean>;
}

const MAX_AGE_MS = 60_000;
/** Limits the reads during an outage of the directory, or of the store. */
const MIN_AGE_MS = 5_000;
/** How old settings may become while the store can't be read. */
const OUTAGE_MS = 3_600_000;
/** How long a call waits for a read that settings in memory can replace. The read itself goes on. */
const PATIENCE_MS = 2_000;

interface Read {
  /** Rejects with the fault of the store. */
  readonly done: Promise<void>;
  /** Like `done`, but ends after PATIENCE_MS, counted from the start of the read. */
  readonly soon: Promise<void>;
}

/** Creates a CurrentDirectory; opens and closes directories as the settings change. */
export function keepDirectory(settings: SettingsReader, openDirectory: OpenDirectory, clock: Clock): CurrentDirectory {
  let current: { directory: Directory; stored: StoredSettings } | null = null;
  let readAt = Number.NEGATIVE_INFINITY;
  let triedAt = Number.NEGATIVE_INFINITY;
  let running: Read | null = null;

  const ageOf = (time: number): number => clock.now().getTime() - time;
  /** After a jump of the clock back, a time in the future counts as long ago. */
  const isRecent = (time: number, limitMs: number): boolean => ageOf(time) >= 0 && ageOf(time) < limitMs;

  async function renew(): Promise<void> {
    const stored = await settings.read();
    readAt = clock.now().getTime();
    if (stored?.version === current?.stored.version) return;
    const former = current;
    current = stored && { stored, directory: openDirectory(stored.settings, stored.password) };
    await former?.directory.close();
  }

  /** One read at a time: whoever comes while it runs joins it. */
  function read(): Read {
    if (running !== null) return running;
    triedAt = clock.now().getTime();
    const done = renew().finally(() => (running = null));
    const soon = within(done, PATIENCE_MS, () => new ServiceError('storeUnavailable', 'the settings take too long'));
    // Nobody may be waiting any more.
    for (const promise of [done, soon]) promise.catch(() => {});
    return (running = { done, soon });
  }

  return {
    async get() {
      // Missing settings are not cached: an administrator who saves the first settings tries them at once.
      // A clock that was set back must not make them count for longer.
      if (current === null || Math.abs(ageOf(readAt)) >= OUTAGE_MS) await read().done;
      else if (!isRecent(readAt, MAX_AGE_MS) && (running !== null || !isRecent(triedAt, MIN_AGE_MS))) {
        await read().soon.catch(ignoreOutage);
      }
      return current;
    },
    async refresh() {
      if (running === null && isRecent(triedAt, MIN_AGE_MS)) return false;
      const before = current?.stored.version;
      await read().soon.catch(ignoreOutage);
      return current?.stored.version !== before;
    },
  };
}

function ignoreOutage(error: unknown): void {
  if (!(error instanceof ServiceError)) throw error;
}
