/**
 * Finds branches of the directory that have vanished from the bind DN's view. An access rule that hides a department
 * looks like a department that has left; so when three or more people are first missed together and nobody is left
 * where they were, that is no proof of their absence.
 */
import type { BranchState } from '../directory/directory.ts';
import { dnKey, isAtOrBelow, parentOf } from '../distinguished-name.ts';
import type { User } from '../user/user.ts';

/** Fewest people below one branch whose common absence is doubted. */
const FEWEST = 3;

interface Branch {
  readonly dn: string;
  readonly depth: number;
  readonly users: User[];
}

/**
 * The branches that have vanished, by the ids of the users that were below them.
 *
 * @param gone users whose entry was found nowhere, or only by other servers, and those who are missed with them
 * @param baseDn the search base; neither it nor anything above it is a branch
 * @param firstMissed when a user was first missed; null if that is now
 * @param judge looks at a branch; called for the highest branches first, and not below an empty or a vanished one
 */
export async function findVanishedBranches(
  gone: readonly User[],
  baseDn: string,
  judge: (dn: string) => Promise<BranchState>,
  firstMissed: (user: User) => string | null = ({ directory }) => directory!.missingSince,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const judged = new Map<string, Promise<BranchState>>();
  const look = async (dn: string): Promise<BranchState> => {
    const key = dnKey(dn);
    let state = judged.get(key);
    if (state === undefined) judged.set(key, (state = judge(dn)));
    return await state;
  };
  // Those who vanished with a branch before are doubted while it is out of sight, even if the others are back or gone.
  for (const { id, directory } of gone) {
    const { vanishedBranch } = directory!;
    if (vanishedBranch !== undefined && (await look(vanishedBranch)) === 'vanished') found.set(id, vanishedBranch);
  }
  // Users who were first missed in the same run have the same time, and those of this run have none yet.
  for (const together of Map.groupBy(gone, firstMissed).values()) {
    const settled = new Set<User>();
    for (const { dn, users } of branchesAbove(together, baseDn)) {
      const open = users.filter((user) => !settled.has(user));
      if (open.length < FEWEST) continue;
      const answer = await look(dn);
      if (answer === 'populated') continue;
      for (const user of open) {
        settled.add(user);
        if (answer === 'vanished') found.set(user.id, dn);
      }
    }
  }
  return found;
}

/** The branches with enough users at or below them, from the base down. */
function branchesAbove(users: readonly User[], baseDn: string): readonly Branch[] {
  const branches = new Map<string, Branch>();
  // Many people share one parent: parse each only once.
  for (const [parent, below] of Map.groupBy(users, ({ directory }) => parentOf(directory!.dn) ?? '')) {
    const path = pathTo(parent, baseDn);
    for (const [above, dn] of path.entries()) {
      const key = dnKey(dn);
      let branch = branches.get(key);
      if (branch === undefined) branches.set(key, (branch = { dn, depth: path.length - above, users: [] }));
      branch.users.push(...below);
    }
  }
  return [...branches.values()].filter(({ users: all }) => all.length >= FEWEST).sort((a, b) => a.depth - b.depth);
}

/** The DN and its ancestors below the base. A DN that is not below today's base stands for itself. */
function pathTo(parent: string, baseDn: string): readonly string[] {
  if (!isAtOrBelow(parent, baseDn)) return parent === '' ? [] : [parent];
  const path: string[] = [];
  for (let dn: string | null = parent; dn !== null && !isAtOrBelow(baseDn, dn); dn = parentOf(dn)) path.push(dn);
  return path;
}
