/** E-mail addresses of users: which text is one, how they are compared, how many bytes a user may have. Sends no mail. */
import { userNameKey } from './user-name.ts';

// Something before and behind an @, without white space. More is for the mail system to say.
/** Matches text that is one e-mail address. */
export const EMAIL_ADDRESS = /^[^\s@\p{Cc}\p{Cs}\uFFFD]+(?:@[^\s@\p{Cc}\p{Cs}\uFFFD]+)+$/u;

/** The form in which e-mail addresses are compared: as user names are. */
export const addressKey = userNameKey;

/**
 * Most bytes of addresses of one user: far above any real mailbox. So a transaction of many users fits, and so does an event
 * that tells the old and the new ones, with each character escaped.
 */
export const MAX_ADDRESS_BYTES = 16 * 1024;

export function exceedAddressBytes(emailAddresses: readonly string[]): boolean {
  return Buffer.byteLength(emailAddresses.join()) > MAX_ADDRESS_BYTES;
}
