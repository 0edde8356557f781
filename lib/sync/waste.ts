/** Tells an administrator that most entries of a read led to no user, and why that is likely. Decides nothing. */
import { ownTypes, ownValues, parentOf } from '../distinguished-name.ts';
import type { User } from '../user/user.ts';
import type { Matches } from './matching.ts';

/**
 * A notice if more than half of the entries were skipped or are in conflict; else null.
 * @param stored users by name key; at least those of contradictions
 */
export function findWaste(
  { read, skipped, contradictions }: Pick<Matches, 'read' | 'skipped' | 'contradictions'>,
  stored: ReadonlyMap<string, User>,
): string | null {
  const wasted = skipped.length + contradictions.length;
  if (wasted * 2 <= read) return null;
  const reasons = [...skipped, ...contradictions].map(({ reason }) => reason!);
  const count =
    wasted === read ? `None of the ${read} entries could be used` : `${wasted} of ${read} entries could not be used`;
  const suffixes = findTwoSuffixes(contradictions, stored);
  return suffixes === null
    ? `${count}. The most frequent reason: ${mostFrequent(reasons)}. Check the mapping and the filter.`
    : `${count}. The same people stand below ${suffixes}. Set the base DN to one of them.`;
}

function mostFrequent(texts: readonly string[]): string {
  const counts = [...Map.groupBy(texts, (text) => text)].map(([text, all]) => ({ text, count: all.length }));
  return counts.reduce((most, each) => (each.count > most.count ? each : most)).text;
}

/** The two suffixes that most contradictions stem from, as after a copy into a second tree; null if there are none. */
function findTwoSuffixes(contradictions: Matches['contradictions'], stored: ReadonlyMap<string, User>): string | null {
  const pairs: string[] = [];
  for (const [nameKey, all] of Map.groupBy(contradictions, (each) => each.nameKey)) {
    const dns = all.flatMap(({ person }) => person?.dn ?? stored.get(nameKey)?.directory?.dn ?? []);
    if (dns.length === 2) pairs.push(differentEnds(dns[0]!, dns[1]!).toSorted().join(' and below '));
  }
  return pairs.length * 4 > contradictions.length ? mostFrequent(pairs) : null;
}

/** The ends of two DNs, without the relative names that both begin with. */
function differentEnds(one: string, other: string): readonly string[] {
  let [first, second] = [one, other];
  while (first !== '' && second !== '' && ownName(first) === ownName(second)) {
    [first, second] = [parentOf(first) ?? '', parentOf(second) ?? ''];
  }
  return [first, second];
}

function ownName(dn: string): string {
  return [...ownTypes(dn), ...ownValues(dn)].join('=').toLowerCase();
}
