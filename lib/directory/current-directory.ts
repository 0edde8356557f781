/**
 * The directory of the current settings: caches the settings for at most a minute, and keeps one Directory (with its
 * warm connections) while they stay the same.
 */
import type { Clock } from '../clock.ts';
import type { SettingsStore } from '../settings/settings-store.ts';
import type { StoredSettings } from '../settings/settings.ts';
import type { Directory, OpenDirectory } from './directory.ts';

/** The directory that the current settings describe. */
export interface CurrentDirectory {
  /** Directory and settings, at most a minute old; null if none are saved. */
  get(): Promise<{ readonly directory: Directory; readonly stored: StoredSettings } | null>;
  /**
   * Reads the settings again, unless they were read within the last five seconds. True if they changed, so that a
   * failed call is worth repeating.
   */
  refresh(): Promise<boolean>;
}

const MAX_AGE_MS = 60_000;
/** Limits the reads during an outage. */
const MIN_AGE_MS = 5_000;

/** Creates a CurrentDirectory; opens and closes directories as the settings change. */
export function keepDirectory(settings: SettingsStore, openDirectory: OpenDirectory, clock: Clock): CurrentDirectory {
  let current: { directory: Directory; stored: StoredSettings } | null = null;
  let readAt = Number.NEGATIVE_INFINITY;

  async function refresh(): Promise<boolean> {
    const stored = await settings.read();
    readAt = clock.now().getTime();
    if (stored?.version === current?.stored.version) return false;
    const former = current;
    current = stored && { stored, directory: openDirectory(stored.settings, stored.password) };
    await former?.directory.close();
    return true;
  }

  return {
    async get() {
      // Missing settings are not cached: an administrator who saves the first settings tries them at once.
      if (current === null || clock.now().getTime() - readAt >= MAX_AGE_MS) await refresh();
      return current;
    },
    async refresh() {
      return clock.now().getTime() - readAt >= MIN_AGE_MS && (await refresh());
    },
  };
}
