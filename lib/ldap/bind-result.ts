/**
 * Translates the result of a user's bind into one vocabulary of rejections for all servers: from result codes, Active
 * Directory's sub-codes, the password policy control and the messages of vendors. Sends nothing itself.
 */
import { type PasswordPolicyValue, PasswordPolicyError } from 'ldapts';
import type { BindResult, PasswordState } from '../directory/directory.ts';
import { describeResult, directoryError, encryptionRequired, RESULT } from './fault.ts';

type Reason = Extract<BindResult, { kind: 'rejected' }>['reason'];

/** What a vendor's sub-code says: of the person, or that the server could not judge the password. */
type Meaning = Reason | 'outage';

// "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1". The numbers are Win32
// error codes or security error codes in hexadecimal: MS-ERREF sections 2.2 and 2.1. Those of a rejection are listed by
// Microsoft Learn, "Common Active Directory bind errors".
const ACTIVE_DIRECTORY: Readonly<Record<string, Meaning>> = {
  '525': 'invalidCredentials', // ERROR_NO_SUCH_USER
  '52e': 'invalidCredentials', // ERROR_LOGON_FAILURE
  '530': 'notPermitted', // ERROR_INVALID_LOGON_HOURS
  '531': 'notPermitted', // ERROR_INVALID_WORKSTATION
  '532': 'passwordExpired', // ERROR_PASSWORD_EXPIRED
  '533': 'accountDisabled', // ERROR_ACCOUNT_DISABLED
  '534': 'notPermitted', // wrong type of logon
  '701': 'accountExpired', // ERROR_ACCOUNT_EXPIRED
  '773': 'passwordMustChange', // ERROR_PASSWORD_MUST_CHANGE
  '775': 'accountLocked', // ERROR_ACCOUNT_LOCKED_OUT
  '51f': 'outage', // ERROR_NO_LOGON_SERVERS
  '6ba': 'outage', // RPC_S_SERVER_UNAVAILABLE
  '6bb': 'outage', // RPC_S_SERVER_TOO_BUSY
  '80090304': 'outage', // SEC_E_INTERNAL_ERROR: no local security authority
  '80090311': 'outage', // SEC_E_NO_AUTHENTICATING_AUTHORITY
};

// eDirectory: "NDS error: log account expired (-220)". NetIQ, "Novell eDirectory error codes".
const EDIRECTORY: Readonly<Record<string, Meaning>> = {
  '-197': 'accountLocked', // intruder detection
  '-218': 'notPermitted', // wrong time of day
  '-219': 'notPermitted', // wrong address
  '-220': 'accountDisabled', // disabled or expired
  '-222': 'passwordExpired', // no grace login left
  '-223': 'passwordExpired',
  '-601': 'invalidCredentials', // no such entry
  '-669': 'invalidCredentials', // failed authentication
  '-625': 'outage', // transport failure
  '-626': 'outage', // all referrals failed
  '-663': 'outage', // the database is locked
};

// 389 Directory Server: "Account inactivated. Contact system administrator.", "Exceed password retry limit", "password
// expired!". The messages of OpenDJ, ApacheDS and IBM are similar.
const WORDS: readonly (readonly [RegExp, Reason])[] = [
  [/password (has |is )?expired/i, 'passwordExpired'],
  [/must (be )?change|has been reset/i, 'passwordMustChange'],
  [/retry limit|locked/i, 'accountLocked'],
  [/inactivated|disabled/i, 'accountDisabled'],
  [/(account|principal)\b.* expired/i, 'accountExpired'],
];

const POLICY: Readonly<Record<number, Reason>> = {
  [PasswordPolicyError.PasswordExpired]: 'passwordExpired',
  [PasswordPolicyError.AccountLocked]: 'accountLocked',
  [PasswordPolicyError.ChangeAfterReset]: 'passwordMustChange',
};

/**
 * Whether the bind was accepted and, if not, why.
 *
 * Result 49 with a sub-code in the tables above means what they say. With an unknown sub-code it is a fault, because
 * nobody knows whether the password was judged; the password is then sent to no other server. A known outage is a fault
 * of that server, so the next one may be asked.
 * @param policy the value of the password policy response control, if the server sent one
 * @throws ServiceError encryptionRequired or directoryError, if the result says nothing about the person
 * @see draft-behera-ldap-password-policy-10 section 6.2
 */
export function readBindResult(
  status: number,
  diagnostic: string,
  policy: PasswordPolicyValue | undefined,
  server: string,
): BindResult {
  const byPolicy = reasonOfPolicy(policy);
  if (status === RESULT.success) {
    // After a password reset, a server accepts the bind but allows nothing except changing the password. Rollcall does
    // not offer that. A grace login is a login, though the password has expired.
    const isGrace = policy?.graceAuthNsRemaining !== undefined && byPolicy === 'passwordExpired';
    return byPolicy === null || isGrace ? { kind: 'accepted', ...passwordState(policy) } : rejected(byPolicy);
  }

  const what = `${server}: a user's bind returned ${describeResult(status, diagnostic)}`;
  const told = toldReason(diagnostic, policy);
  switch (status) {
    case RESULT.invalidCredentials:
      if (isOutage(diagnostic)) throw directoryError(what, RESULT.unavailable);
      if (told === null && subCodeOf(diagnostic) !== null) throw directoryError(what, status);
      return rejected(told ?? 'invalidCredentials');
    // The entry does not exist or has no password. Callers look the person up first, so both have the same outcome as
    // a wrong password.
    case RESULT.noSuchObject:
    case RESULT.invalidDnSyntax:
    case RESULT.inappropriateAuthentication:
    case RESULT.noSuchAttribute:
      return rejected('invalidCredentials');
    case RESULT.insufficientAccessRights:
      return rejected(told ?? 'notPermitted');
    case RESULT.constraintViolation:
    case RESULT.unwillingToPerform:
      // With these codes, only the message or the control can blame the person. Without either, the server is at fault,
      // but it may have judged the password.
      if (told !== null) return rejected(told);
      throw directoryError(what, status, false);
    case RESULT.confidentialityRequired:
    case RESULT.strongerAuthRequired:
      throw encryptionRequired(what);
    default:
      throw directoryError(what, status);
  }
}

function rejected(reason: Reason): BindResult {
  return { kind: 'rejected', reason };
}

function passwordState(policy: PasswordPolicyValue | undefined): PasswordState {
  const { timeBeforeExpiration, graceAuthNsRemaining } = policy ?? {};
  return {
    ...(timeBeforeExpiration === undefined ? {} : { passwordExpiresInSeconds: timeBeforeExpiration }),
    ...(graceAuthNsRemaining === undefined ? {} : { graceLoginsLeft: graceAuthNsRemaining }),
  };
}

/** What the message or the control says about the person, whatever the result code; null if they say nothing. */
export function toldReason(diagnostic: string, policy: PasswordPolicyValue | undefined): Reason | null {
  const byPolicy = reasonOfPolicy(policy);
  // The control has no code for disabled accounts: 389 says locked in the control and inactivated in the message.
  if (byPolicy !== null && byPolicy !== 'accountLocked') return byPolicy;
  return reasonOfDiagnostic(diagnostic) ?? byPolicy;
}

/** Whether the message has a sub-code which says that the password could not be judged. */
export function isOutage(diagnostic: string): boolean {
  return subCodeOf(diagnostic)?.meaning === 'outage';
}

function reasonOfPolicy(policy: PasswordPolicyValue | undefined): Reason | null {
  return (policy?.error !== undefined && POLICY[policy.error]) || null;
}

function reasonOfDiagnostic(diagnostic: string): Reason | null {
  const subCode = subCodeOf(diagnostic);
  if (subCode !== null) return subCode.meaning === 'outage' ? null : subCode.meaning;
  // ApacheDS ends its message with the DN, and a name in it could match a pattern.
  const words = diagnostic.replace(/[A-Za-z][\w.-]*=.*$/su, '');
  return WORDS.find(([pattern]) => pattern.test(words))?.[1] ?? null;
}

/** The sub-code of a message, with the meaning null if it is in no table; null if the message has none. */
function subCodeOf(diagnostic: string): { readonly meaning: Meaning | null } | null {
  // The number at the beginning is 80090308, an invalid token, unless the security package itself failed.
  const [, before = '', data] =
    /^([0-9a-f]*).*AcceptSecurityContext error, data ([0-9a-f]+)\b/is.exec(diagnostic) ?? [];
  if (data !== undefined) {
    const outage = ACTIVE_DIRECTORY[before.toLowerCase()];
    return { meaning: outage ?? ACTIVE_DIRECTORY[data.toLowerCase()] ?? null };
  }
  const ndsError = /NDS error: .*\((-\d+)\)/i.exec(diagnostic)?.[1];
  return ndsError === undefined ? null : { meaning: EDIRECTORY[ndsError] ?? null };
}
