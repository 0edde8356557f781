/**
 * Tells from an attribute whether an account is disabled or has expired, one rule per attribute. vendor.ts says which
 * attributes count for a vendor. A lock after failed logins does not count, because it goes away by itself.
 */

type Rule = (value: string, now: Date) => boolean;

const ACCOUNT_DISABLE = 0x2;
// 100 ns since 1601-01-01 (MS-DTYP section 2.3.3) to milliseconds since 1970-01-01.
const FILETIME_TICKS_A_MILLISECOND = 10_000n;
const FILETIME_EPOCH_MS = 11_644_473_600_000n;
const FILETIME_NEVER = 0x7fffffffffffffffn;
const DAY_MS = 86_400_000;

const isTrue: Rule = (value) => value.trim().toUpperCase() === 'TRUE';
const isGeneralizedTimePast: Rule = (value, now) =>
  (parseGeneralizedTime(value)?.getTime() ?? Infinity) <= now.getTime();
const isOneOf =
  (...words: readonly string[]): Rule =>
  (value) =>
    words.includes(value.trim().toLowerCase());

/** The rules by attribute, spelled as the vendors spell it. */
const RULES = {
  // Active Directory, Samba (MS-ADTS sections 2.2.16 and 6.1.1.5; 0 and the largest value: never).
  userAccountControl: (value) => (Number(value) & ACCOUNT_DISABLE) !== 0,
  accountExpires: isFileTimePast,
  // AD LDS, in place of the flag ACCOUNTDISABLE (MS-ADA2, ms-DS-User-Account-Disabled).
  'msDS-UserAccountDisabled': isTrue,
  // 389 Directory Server, FreeIPA, Oracle.
  nsAccountLock: isTrue,
  // OpenLDAP: locked permanently, by an administrator (draft-behera-ldap-password-policy-10 section 5.3.3).
  pwdAccountLockedTime: (value) => value === '000001010000Z',
  // eDirectory.
  loginDisabled: isTrue,
  loginExpirationTime: isGeneralizedTimePast,
  // POSIX (RFC 2307 section 3): days since 1970-01-01.
  shadowExpire: isShadowExpired,
  // Sun and Oracle (Communications Suite Schema Reference): active, inactive or deleted; "an illegal value is treated
  // as inactive".
  inetUserStatus: (value) => value.trim() !== '' && value.trim().toLowerCase() !== 'active',
  // qmail-ldap (LDAP_ISACTIVE in its wiki): active, noaccess (mail is delivered, nobody may log in), disabled, deleted.
  // The name is common, so other words mean nothing.
  accountStatus: isOneOf('noaccess', 'disabled', 'deleted', 'inactive'),
  // Samba's ldapsam (pdb_decode_acct_ctrl): letters in brackets. D: disabled; L: locked after failed logins.
  sambaAcctFlags: (value) => /^\s*\[[^\]]*D/u.test(value),
  // Oracle Internet Directory, Oracle Unified Directory: ENABLED or DISABLED.
  orclIsEnabled: isOneOf('disabled'),
  orclActiveEndDate: isGeneralizedTimePast,
  // OpenDJ, ForgeRock, Ping, Oracle Unified Directory.
  'ds-pwp-account-disabled': isTrue,
  'ds-pwp-account-expiration-time': isGeneralizedTimePast,
  // IBM Security Directory Server: locked by an administrator.
  'ibm-pwdAccountLocked': isTrue,
} as const satisfies Readonly<Record<string, Rule>>;

/** An attribute that has a rule. */
export type StatusAttribute = keyof typeof RULES;

/** All attributes that have a rule. */
export const STATUS_ATTRIBUTES = Object.keys(RULES) as readonly StatusAttribute[];

const RULES_BY_KEY: ReadonlyMap<string, Rule> = new Map(
  STATUS_ATTRIBUTES.map((attribute) => [attribute.toLowerCase(), RULES[attribute]]),
);

/**
 * The rule of an attribute: whether a value of it means that the account is disabled at the given time.
 * @param attribute its name in lower case
 * @returns null if the attribute has no rule
 */
export function disablingRule(attribute: string): Rule | null {
  return RULES_BY_KEY.get(attribute) ?? null;
}

function isFileTimePast(value: string, now: Date): boolean {
  if (!/^\d{1,19}$/.test(value)) return false;
  const ticks = BigInt(value);
  if (ticks === 0n || ticks >= FILETIME_NEVER) return false;
  return ticks / FILETIME_TICKS_A_MILLISECOND - FILETIME_EPOCH_MS <= BigInt(now.getTime());
}

/**
 * -1 and 0 mean that the account never expires. shadow(5) leaves 0 open: it "is interpreted as either an account with
 * no expiration, or as an expiration on Jan 1, 1970". The programs that apply it to accounts of a directory read the
 * former: SSSD (sdap_account_expired_shadow) and the isexpired of shadow-utils compare only values above 0.
 */
function isShadowExpired(value: string, now: Date): boolean {
  if (!/^\d{1,9}$/.test(value)) return false;
  return Number(value) > 0 && Number(value) * DAY_MS <= now.getTime();
}

/**
 * Generalized Time (RFC 4517 section 3.3.13) in the forms that servers write: to the hour, minute or second, with any
 * fraction, in UTC or with an offset. null for anything else.
 */
function parseGeneralizedTime(value: string): Date | null {
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)?(\d\d)?(?:[.,]\d+)?(Z|[+-]\d\d(?:\d\d)?)$/.exec(value);
  if (parts === null) return null;
  const [, year, month, day, hour, minute = '00', second = '00', zone = 'Z'] = parts;
  const offset = zone === 'Z' ? 'Z' : `${zone.slice(0, 3)}:${zone.slice(3) || '00'}`;
  const time = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}${offset}`);
  return Number.isNaN(time.getTime()) ? null : time;
}
