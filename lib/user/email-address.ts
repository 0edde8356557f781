/** E-mail addresses of users: their syntax, how they are compared, and the size limit for one user. Sends no mail. */
import { userNameKey } from './user-name.ts';

// Requires text before and after an @, and no white space. Any stricter rule is up to the mail system.
/** Matches a text that is a single e-mail address. */
export const EMAIL_ADDRESS = /^[^\s@\p{Cc}\p{Cs}\uFFFD]+(?:@[^\s@\p{Cc}\p{Cs}\uFFFD]+)+$/u;

/** The form in which e-mail addresses are compared: the same as for user names. */
export const addressKey = userNameKey;

/**
 * Most bytes of addresses that one user may have: far above any real mailbox. Low enough for a transaction of many
 * users, and for an event that carries the old and the new addresses with every character escaped.
 */
export const MAX_ADDRESS_BYTES = 16 * 1024;

/** Whether the addresses of one user are longer than MAX_ADDRESS_BYTES in total. */
export function exceedAddressBytes(emailAddresses: readonly string[]): boolean {
  return Buffer.byteLength(emailAddresses.join()) > MAX_ADDRESS_BYTES;
}
