/**
 * The catalogue of privileges, and the rule that `none` and `admin` can't be combined with others (MailStore Server
 * Help, "Users and Privileges").
 */
export const PRIVILEGES = [
  'none',
  'admin',
  'login',
  'changePassword',
  'archive',
  'modifyArchiveProfiles',
  'export',
  'modifyExportProfiles',
  'delete',
] as const;

/** The name of a privilege. */
export type Privilege = (typeof PRIVILEGES)[number];

/**
 * What each privilege means, for `GET /api/privileges`. This system itself acts only on `login`, `changePassword` and
 * `admin`.
 */
export const PRIVILEGE_CATALOGUE: readonly { name: Privilege; description: string; exclusive: boolean }[] = [
  { name: 'none', description: 'No privileges; the user cannot log in.', exclusive: true },
  { name: 'admin', description: 'All privileges, and may administer this system.', exclusive: true },
  { name: 'login', description: 'May log in.', exclusive: false },
  { name: 'changePassword', description: 'May change their own password (integrated users only).', exclusive: false },
  { name: 'archive', description: 'Passed to the login service: may archive e-mail.', exclusive: false },
  {
    name: 'modifyArchiveProfiles',
    description: 'Passed to the login service: may edit archiving profiles.',
    exclusive: false,
  },
  { name: 'export', description: 'Passed to the login service: may export e-mail.', exclusive: false },
  {
    name: 'modifyExportProfiles',
    description: 'Passed to the login service: may edit export profiles.',
    exclusive: false,
  },
  { name: 'delete', description: 'Passed to the login service: may delete e-mail.', exclusive: false },
];

/** Whether a user with these privileges may log in. */
export function mayLogIn(privileges: readonly Privilege[]): boolean {
  return privileges.includes('login') || privileges.includes('admin');
}

/** Whether a user with these privileges may change their own password, if this system stores it. */
export function mayChangePassword(privileges: readonly Privilege[]): boolean {
  return privileges.includes('changePassword') || privileges.includes('admin');
}

/** Whether two lists hold the same privileges, in any order. */
export function samePrivileges(some: readonly Privilege[], others: readonly Privilege[]): boolean {
  return some.length === others.length && some.every((privilege) => others.includes(privilege));
}

/**
 * Why a list of privileges is invalid, or null: it must not be empty, name a privilege twice, or combine `none` or
 * `admin` with others.
 */
export function privilegesFault(privileges: readonly Privilege[]): string | null {
  if (privileges.length === 0) return 'must name at least one privilege; use ["none"] for no privileges';
  if (new Set(privileges).size !== privileges.length) return 'must not name a privilege twice';
  for (const alone of ['none', 'admin'] as const) {
    if (privileges.includes(alone) && privileges.length > 1)
      return `"${alone}" can't be combined with other privileges`;
  }
  return null;
}
