/**
 * The two kinds of bind: with the bind DN of the settings, where anything but success is a fault, and as a user, where
 * a rejection is an outcome. Knows nothing of searches.
 */
import { PasswordPolicyControl } from 'ldapts';
import type { BindResult } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import { readBindResult, toldReason } from './bind-result.ts';
import type { Connection } from './connection.ts';
import { administratorBindFault, RESULT } from './fault.ts';

/**
 * Binds with the bind DN.
 * @param administrativeDn as written in the settings; if it is empty, the bind is anonymous
 * @throws ServiceError bindRefused, encryptionRequired or another DirectoryFaultCode
 */
export async function bindAdministrator(
  connection: Connection,
  administrativeDn: string,
  password: string,
  withinMs: number,
): Promise<void> {
  if (administrativeDn !== '' && password === '') {
    throw new ServiceError('bindRefused', 'no password is set for the bind DN', {
      advice: 'Enter the password of the bind DN, or leave both empty for an anonymous bind.',
    });
  }
  const policy = new PasswordPolicyControl();
  const answer = await connection.bind(administrativeDn, administrativeDn === '' ? '' : password, withinMs, [policy]);
  const reason = toldReason(answer.diagnostic, policy.value);
  // If the password must be changed first, the bind succeeds and every search fails.
  if (answer.status !== RESULT.success || reason === 'passwordMustChange') {
    throw administratorBindFault(answer.status, answer.diagnostic, reason, connection.server);
  }
}

/**
 * Whether this password is the right one for this entry.
 * @param dn the DN that a search returned; must pass `beginsAsDn`
 * @param password must not be empty: servers may answer a bind without a password with success (RFC 4513 section 5.1.2)
 * @throws ServiceError with a DirectoryFaultCode
 */
export async function bindUser(
  connection: Connection,
  dn: string,
  password: string,
  withinMs: number,
): Promise<BindResult> {
  const policy = new PasswordPolicyControl();
  const { status, diagnostic } = await connection.bind(dn, password, withinMs, [policy]);
  return readBindResult(status, diagnostic, policy.value, connection.server);
}
