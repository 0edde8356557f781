/**
 * Gets programs from Debian or Ubuntu packages without installing them: downloads and unpacks the packages into a cache
 * of this project. Needs no root. Knows nothing of the packages' content.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Packages that are unpacked together. */
export interface PackageSet {
  /** Name of its folder in the cache. */
  readonly name: string;
  /** Packages that are always unpacked, even if they are installed. */
  readonly wanted: readonly string[];
  /** Whether to unpack a package that those depend on and that is not installed. */
  readonly needs: (packageName: string) => boolean;
}

/** This project's folder for files that can be created again: below XDG_CACHE_HOME, else ~/.cache. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rollcall');
}

/** Distribution and version of this system, for example `debian12`. */
export async function systemName(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(release)?.[1] ?? '';
  return `${field('ID') || process.platform}${field('VERSION_ID')}`;
}

/**
 * The root folder (with etc/, usr/, ...) of these packages, unpacked now or earlier. Several processes may call it at
 * once; the first to finish provides the folder. Missing package lists are fetched into the cache, never into the
 * system.
 * @throws Error with one line that says what is missing and why
 */
export async function unpackPackages({ name, wanted, needs }: PackageSet): Promise<string> {
  const folder = join(cacheFolder(), `${name}-${await systemName()}-${process.arch}`);
  if (existsSync(folder)) return folder;
  if (!existsSync('/usr/bin/apt-get'))
    throw new Error(`${wanted[0]} could not be unpacked: this system has no apt-get`);
  await mkdir(cacheFolder(), { recursive: true });
  const work = await mkdtemp(`${folder}.`);
  try {
    const [state, cache, root] = ['state', 'cache', 'root'].map((part) => join(work, part)) as [string, string, string];
    for (const path of [join(state, 'lists/partial'), join(cache, 'archives/partial'), root]) {
      await mkdir(path, { recursive: true });
    }
    const ownLists = [`Dir::State=${state}`, `Dir::Cache=${cache}`, 'Dir::State::status=/var/lib/dpkg/status'];
    const own = ownLists.flatMap((option) => ['-o', option]);
    try {
      await download(work, wanted, needs, []);
    } catch {
      await run('apt-get', [...APT_OPTIONS, ...own, 'update', '-q'], { cwd: work });
      await download(work, wanted, needs, own);
    }
    const files = (await readdir(work)).filter((file) => file.endsWith('.deb'));
    for (const file of files) await run('dpkg', ['-x', join(work, file), root]);
    // Some packages still have libraries in /lib, which on the system is /usr/lib.
    if (existsSync(join(root, 'lib'))) {
      await cp(join(root, 'lib'), join(root, 'usr/lib'), { recursive: true, verbatimSymlinks: true });
      await rm(join(root, 'lib'), { recursive: true });
    }
    await rename(root, folder).catch(() => {
      // Another process was first and unpacked the same files.
    });
    return folder;
  } catch (error) {
    const words = ((error as { stderr?: string }).stderr || (error as Error).message).trim();
    throw new Error(`${wanted[0]} could not be unpacked: ${words.split('\n').at(-1)}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const APT_OPTIONS = ['-o', 'Debug::NoLocking=1', '-o', 'APT::Sandbox::User='];

async function download(
  folder: string,
  wanted: PackageSet['wanted'],
  needs: PackageSet['needs'],
  options: readonly string[],
): Promise<void> {
  const all = [...APT_OPTIONS, ...options];
  const { stdout } = await run('apt-get', [...all, '-s', '--no-install-recommends', 'install', ...wanted]);
  const missing = [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name!);
  await run('apt-get', [...all, '-q', 'download', ...new Set([...wanted, ...missing.filter(needs)])], { cwd: folder });
}
