/**
 * Says for which settings an approval of withheld lines holds. Other settings, such as the schedule, may change without
 * ending an approval.
 */
import { hash } from 'node:crypto';
import type { Settings } from './settings.ts';

const DIGEST_LENGTH = 8;

/** The settings that an approval depends on, by the names that administrators know. */
const PARTS: readonly (readonly [name: string, read: (settings: Settings) => readonly string[]])[] = [
  ['scope', ({ scope }) => [scope.baseDn, scope.filter, scope.depth]],
  // Attribute names ignore letter case (RFC 4512 section 2.5).
  ['mapping.uniqueId', ({ mapping }) => [mapping.uniqueId.toLowerCase()]],
  ['options.missingUsers', ({ options }) => [options.missingUsers]],
];

/**
 * Identifies the scope, the unique id and the treatment of missing users in the settings: an approval given under one
 * value holds for that value only. Opaque, 26 characters.
 */
export function approvalScopeOf(settings: Settings): string {
  return PARTS.map(([, read]) => digest(read(settings))).join('.');
}

/**
 * The names of the settings that differ from those that `approvalScope` was made from; empty if none does. Names all of
 * them if `approvalScope` was not made by this version of the product.
 */
export function changedSince(approvalScope: string, settings: Settings): readonly string[] {
  const former = approvalScope.split('.');
  return PARTS.filter(([, read], position) => digest(read(settings)) !== former[position]).map(([name]) => name);
}

function digest(values: readonly string[]): string {
  return hash('sha256', JSON.stringify(values), 'base64url').slice(0, DIGEST_LENGTH);
}
