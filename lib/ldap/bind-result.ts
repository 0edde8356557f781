/**
 * Translates the result of a user's bind into one vocabulary of rejections for all servers: from result codes, Active
 * Directory's sub-codes, the password policy control and the messages of vendors. Sends nothing itself.
 */
import { type PasswordPolicyValue, PasswordPolicyError } from 'ldapts';
import type { BindResult } from '../directory/directory.ts';
import { describeResult, directoryError, encryptionRequired, RESULT } from './fault.ts';

type Reason = Extract<BindResult, { kind: 'rejected' }>['reason'];

// "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1". Microsoft Learn, "Common
// Active Directory bind errors"; the numbers are Win32 error codes in hexadecimal.
const ACTIVE_DIRECTORY: Readonly<Record<string, Reason>> = {
  '525': 'invalidCredentials', // no such user
  '52e': 'invalidCredentials',
  '530': 'notPermitted', // wrong time of day
  '531': 'notPermitted', // wrong workstation
  '532': 'passwordExpired',
  '533': 'accountDisabled',
  '534': 'notPermitted', // wrong type of logon
  '701': 'accountExpired',
  '773': 'passwordMustChange',
  '775': 'accountLocked',
};

// eDirectory: "NDS error: log account expired (-220)". NetIQ, "Novell eDirectory error codes".
const EDIRECTORY: Readonly<Record<string, Reason>> = {
  '-197': 'accountLocked', // intruder detection
  '-218': 'notPermitted', // wrong time of day
  '-219': 'notPermitted', // wrong address
  '-220': 'accountDisabled', // disabled or expired
  '-222': 'passwordExpired', // no grace login left
  '-223': 'passwordExpired',
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
  // After a password reset, a server accepts the bind but allows nothing except changing the password. Rollcall does
  // not offer that.
  const byPolicy = reasonOfPolicy(policy);
  if (status === RESULT.success) return byPolicy === null ? { kind: 'accepted' } : rejected(byPolicy);

  const told = toldReason(diagnostic, policy);
  switch (status) {
    case RESULT.invalidCredentials:
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
      // With these codes, only the message or the control can blame the person. Without either, the server is at fault.
      if (told !== null) return rejected(told);
      break;
    case RESULT.confidentialityRequired:
    case RESULT.strongerAuthRequired:
      throw encryptionRequired(`${server}: a user's bind returned ${describeResult(status, diagnostic)}`);
  }
  throw directoryError(`${server}: a user's bind returned ${describeResult(status, diagnostic)}`, status);
}

function rejected(reason: Reason): BindResult {
  return { kind: 'rejected', reason };
}

/** What the message or the control says about the person, whatever the result code; null if they say nothing. */
export function toldReason(diagnostic: string, policy: PasswordPolicyValue | undefined): Reason | null {
  const byPolicy = reasonOfPolicy(policy);
  // The control has no code for disabled accounts: 389 says locked in the control and inactivated in the message.
  if (byPolicy !== null && byPolicy !== 'accountLocked') return byPolicy;
  return reasonOfDiagnostic(diagnostic) ?? byPolicy;
}

function reasonOfPolicy(policy: PasswordPolicyValue | undefined): Reason | null {
  return (policy?.error !== undefined && POLICY[policy.error]) || null;
}

function reasonOfDiagnostic(diagnostic: string): Reason | null {
  const subCode = /AcceptSecurityContext error, data ([0-9a-f]+)\b/i.exec(diagnostic)?.[1];
  if (subCode !== undefined) return ACTIVE_DIRECTORY[subCode.toLowerCase()] ?? null;
  const ndsError = /NDS error: .*\((-\d+)\)/i.exec(diagnostic)?.[1];
  if (ndsError !== undefined) return EDIRECTORY[ndsError] ?? null;
  // ApacheDS ends its message with the DN, and a name in it could match a pattern.
  const words = diagnostic.replace(/[A-Za-z][\w.-]*=.*$/su, '');
  return WORDS.find(([pattern]) => pattern.test(words))?.[1] ?? null;
}
