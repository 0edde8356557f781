/**
 * The two kinds of bind: as the administrative DN, where anything but success is a fault of the settings, and as a user, where
 * a refusal is an outcome.
 */
import { PasswordPolicyControl } from 'ldapts';

import { ServiceError } from '../errors.ts';
import type { BindResult } from '../directory/directory.ts';
import type { Connection } from './connection.ts';
import { administratorBindFault, RESULT } from './fault.ts';
import { readBindResult, toldReason } from './bind-result.ts';

/**
 * Binds with the name as the settings have it; an empty one binds anonymously.
 * @throws ServiceError bindRefused, encryptionRequired and others of a DirectoryFaultCode
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
  // Who must change the password first is let in and then refused every search.
  if (answer.status !== RESULT.success || reason === 'passwordMustChange') {
    throw administratorBindFault(answer.status, answer.diagnostic, reason, connection.server);
  }
}

/**
 * Whether this password opens this account.
 * @param dn of an entry, as a search has returned it; `beginsAsDn`
 * @param password not empty (RFC 4513 section 5.1.2: servers may take a bind without password for success)
 * @throws ServiceError of a DirectoryFaultCode
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
