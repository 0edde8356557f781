/**
 * The two kinds of bind: with the bind DN of the settings, where anything but success is a fault, and as a user, where
 * a rejection is an outcome. Knows nothing of searches.
 */
import { BerReader, PasswordPolicyControl, type PasswordPolicyValue } from 'ldapts';
import type { BindResult } from '../directory/directory.ts';
import { ServiceError } from '../errors.ts';
import { isOutage, readBindResult, toldReason } from './bind-result.ts';
import type { Connection } from './connection.ts';
import type { Answer } from './conversation.ts';
import { administratorBindFault, describeResult, directoryError, RESULT } from './fault.ts';

/**
 * Binds with the bind DN.
 * @param administrativeDn as written in the settings; if it is empty, the bind is anonymous
 * @param policy whether the server announces the password policy control
 * @throws ServiceError bindRefused, encryptionRequired or another DirectoryFaultCode
 */
export async function bindAdministrator(
  connection: Connection,
  administrativeDn: string,
  password: string,
  policy: boolean,
  withinMs: number,
): Promise<void> {
  if (administrativeDn !== '' && password === '') {
    throw new ServiceError('bindRefused', 'no password is set for the bind DN', {
      advice: 'Enter the password of the bind DN, or leave both empty for an anonymous bind.',
    });
  }
  const typed = administrativeDn === '' ? '' : password;
  const { status, diagnostic, said } = await bind(connection, administrativeDn, typed, policy, withinMs);
  if (status === RESULT.invalidCredentials && isOutage(diagnostic)) {
    const what = `${connection.server}: the bind with the bind DN returned ${describeResult(status, diagnostic)}`;
    throw directoryError(what, RESULT.unavailable);
  }
  const reason = toldReason(diagnostic, said);
  // If the password must be changed first, the bind succeeds and every search fails.
  if (status !== RESULT.success || reason === 'passwordMustChange') {
    throw administratorBindFault(status, diagnostic, reason, connection.server);
  }
}

/**
 * Whether this password is the right one for this entry. `unanswered` if it was sent and no answer came, so that the
 * server may have counted it.
 * @param dn the DN that a search returned; must pass `beginsAsDn`
 * @param password must not be empty: servers may answer a bind without a password with success (RFC 4513 section 5.1.2)
 * @param policy whether the server announces the password policy control
 * @throws ServiceError with a DirectoryFaultCode, if the server did not get the password or could not judge it
 */
export async function bindUser(
  connection: Connection,
  dn: string,
  password: string,
  policy: boolean,
  withinMs: number,
): Promise<BindResult> {
  const { requests } = connection;
  let answer: Awaited<ReturnType<typeof bind>>;
  try {
    answer = await bind(connection, dn, password, policy, withinMs);
  } catch (fault) {
    if (fault instanceof ServiceError && connection.requests > requests) return { kind: 'unanswered', fault };
    throw fault;
  }
  return readBindResult(answer.status, answer.diagnostic, answer.said, connection.server);
}

/** A bind, and what the password policy control said if it was sent. */
async function bind(
  connection: Connection,
  name: string,
  password: string,
  policy: boolean,
  withinMs: number,
): Promise<Answer & { readonly said: PasswordPolicyValue | undefined }> {
  const control = new LenientPolicyControl();
  const answer = await connection.bind(name, password, withinMs, policy ? [control] : []);
  return { ...answer, said: control.value };
}

/**
 * The control of ldapts, except that a value which is not valid says nothing. The one of ldapts throws for a
 * zero-length error element, which Rollcall would take for a broken message.
 */
class LenientPolicyControl extends PasswordPolicyControl {
  override parseControl(reader: BerReader): void {
    try {
      this.value = readPolicy(reader);
    } catch {
      delete this.value;
    }
  }
}

/** draft-behera-ldap-password-policy-10 section 6.2. */
function readPolicy(reader: BerReader): PasswordPolicyValue {
  const value: PasswordPolicyValue = {};
  if (reader.readSequence() === null) return value;
  if (reader.peek() === 0xa0) {
    const warning = new BerReader(reader.readString(0xa0, true) ?? Buffer.alloc(0));
    const seconds = readNumber(warning, 0x80);
    const logins = readNumber(warning, 0x81);
    if (seconds !== null) value.timeBeforeExpiration = seconds;
    if (logins !== null) value.graceAuthNsRemaining = logins;
  }
  const error = readNumber(reader, 0x81);
  if (error !== null) value.error = error;
  return value;
}

/** null for another tag, and for an element of no length or of more than six bytes. */
function readNumber(reader: BerReader, tag: number): number | null {
  const bytes = reader.peek() === tag ? reader.readString(tag, true) : null;
  return bytes !== null && bytes.length > 0 && bytes.length <= 6 ? bytes.readUIntBE(0, bytes.length) : null;
}
