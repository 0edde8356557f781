/**
 * Finds a Java runtime for servers written in Java: the installed one, or one from the system's packages, unpacked into
 * the cache of this project. Installs nothing.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readlink, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { unpackPackages } from './debian-package.ts';

const LEAST_JAVA = 17;

/** The command that runs Java. @throws Error with one line that says what to install, if there is none */
export async function findJava(): Promise<string> {
  if (await isRecent('java')) return 'java';
  try {
    const root = await unpackPackages({
      name: 'java',
      wanted: [`openjdk-${LEAST_JAVA}-jre-headless`],
      needs: () => false,
    });
    const homes = path.join(root, 'usr/lib/jvm');
    const home = (await readdir(homes)).find((name) => existsSync(path.join(homes, name, 'bin/java')))!;
    await keepLinksInside(path.join(homes, home), root);
    const java = path.join(homes, home, 'bin/java');
    if (await isRecent(java)) return java;
  } catch {
    // The same package is missing in all these cases, so the same advice helps.
  }
  throw new Error(
    `Java ${LEAST_JAVA} or later is needed: run "apt-get install openjdk-${LEAST_JAVA}-jre-headless" as root`,
  );
}

async function isRecent(java: string): Promise<boolean> {
  try {
    const { stderr } = await promisify(execFile)(java, ['-version']);
    return Number(/version "(\d+)/u.exec(stderr)?.[1]) >= LEAST_JAVA;
  } catch {
    return false;
  }
}

/** The package links to its configuration in /etc; redirects these links to the unpacked files below `root`. */
async function keepLinksInside(folder: string, root: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue;
    const link = path.join(entry.parentPath, entry.name);
    const target = await readlink(link);
    const inside = path.join(root, target);
    if (!path.isAbsolute(target) || target.startsWith(root) || !existsSync(inside)) continue;
    await rm(link, { force: true });
    // Another process may have been first and created the same link.
    await symlink(inside, link).catch(() => {});
  }
}
