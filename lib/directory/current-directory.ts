/**
 * The directory as the settings of this minute describe it: settings cached for at most a minute, one Directory (with its
 * warm connections) kept as long as they stay the same.
 */
import type { Clock } from '../clock.ts';
import type { Directory, OpenDirectory } from './directory.ts';
import type { SettingsStore } from '../settings/settings-store.ts';
import type { StoredSettings } from '../settings/settings.ts';

export interface CurrentDirectory {
  /** Directory and settings, at most a minute old; null while nothing is configured. */
  get(): Promise<{ readonly directory: Directory; readonly stored: StoredSettings } | null>;
  /**
   * Reads the settings again, unless that was done within the last seconds; true when they have changed, so that what
   * failed is worth another try.
   */
  refresh(): Promise<boolean>;
}

const MAX_AGE_MS = 60_000;
/** An outage must not become a flood of reads. */
const MIN_AGE_MS = 5_000;

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
      // Nothing configured is not worth remembering: whoever saves the first settings tries them at once.
      if (current === null || clock.now().getTime() - readAt >= MAX_AGE_MS) await refresh();
      return current;
    },
    async refresh() {
      return clock.now().getTime() - readAt >= MIN_AGE_MS && (await refresh());
    },
  };
}
