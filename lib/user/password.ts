/**
 * Password hashes of integrated users, argon2id in the PHC string format, and the comparison of secrets. Knows neither
 * users nor stores. A password is hashed as the bytes of its UTF-8 text, without Unicode normalisation: a login must
 * repeat the text exactly as it was set.
 *
 * @see RFC 9106, and https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md
 */
import { argon2, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { ServiceError } from '../errors.ts';

/** Shortest password that may be set, in Unicode code points. */
export const MIN_PASSWORD_LENGTH = 8;
/** Longest password, in bytes of UTF-8; a longer one is never verified. */
export const MAX_PASSWORD_BYTES = 1_024;

interface Cost {
  /** KiB */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

// OWASP Password Storage Cheat Sheet, the first of its argon2id settings: 19 MiB, 2 passes, about 50 ms.
const COST: Cost = { memory: 19 * 1024, passes: 2, parallelism: 1 };
const SALT_BYTES = 16;
const TAG_BYTES = 32;

// Upper bounds for a stored hash, so that a corrupt record can't exhaust a function.
const MAX_COST: Cost = { memory: 256 * 1024, passes: 16, parallelism: 16 };

const PHC = new RegExp(
  String.raw`^\$argon2id\$v=19\$m=(?<memory>\d{1,7}),t=(?<passes>\d{1,3}),p=(?<parallelism>\d{1,3})` +
    String.raw`\$(?<salt>[A-Za-z0-9+/]{11,86})\$(?<tag>[A-Za-z0-9+/]{22,86})$`,
);

/** A hash that matches no password and costs as much as a real one: used for unknown user names. */
export const DECOY_HASH = toPhc(COST, randomBytes(SALT_BYTES), randomBytes(TAG_BYTES));

/** Why this password can't be set, worded for an administrator; null if it can. */
export function passwordFault(password: string): string | null {
  if (Array.from(password).length < MIN_PASSWORD_LENGTH) return `must be at least ${MIN_PASSWORD_LENGTH} characters`;
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return `must be at most ${MAX_PASSWORD_BYTES} bytes`;
  // Every unpaired surrogate is encoded as the same bytes, so different passwords would have the same hash.
  if (!password.isWellFormed()) return 'must not contain an unpaired surrogate';
  return null;
}

/** The hash to store for a password, with a fresh salt. Takes about 50 ms, off the main thread. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return toPhc(COST, salt, await derive(password, salt, TAG_BYTES, COST));
}

/**
 * Whether the hash belongs to this password. False, without hashing, for a password that is empty, too long or not
 * well-formed Unicode.
 *
 * @throws ServiceError `internal` if the hash is malformed: a fault of the record, not of the password
 */
export async function verifyPasswordHash(hash: string, password: string): Promise<boolean> {
  const { cost, salt, tag } = fromPhc(hash);
  if (password === '' || Buffer.byteLength(password) > MAX_PASSWORD_BYTES || !password.isWellFormed()) return false;
  return timingSafeEqual(await derive(password, salt, tag.length, cost), tag);
}

function derive(password: string, salt: Buffer, tagLength: number, cost: Cost): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  argon2('argon2id', { ...cost, message: Buffer.from(password), nonce: salt, tagLength }, (error, tag) => {
    if (error) reject(new ServiceError('internal', 'argon2id failed', { cause: error }));
    else resolve(tag);
  });
  return promise;
}

function toPhc({ memory, passes, parallelism }: Cost, salt: Buffer, tag: Buffer): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${toBase64(salt)}$${toBase64(tag)}`;
}

function toBase64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

function fromPhc(hash: string): { readonly cost: Cost; readonly salt: Buffer; readonly tag: Buffer } {
  const groups = PHC.exec(hash)?.groups;
  // The message leaves the hash out, because errors are logged.
  if (!groups) throw new ServiceError('internal', 'a stored password hash is malformed');
  const cost: Cost = {
    memory: Number(groups['memory']),
    passes: Number(groups['passes']),
    parallelism: Number(groups['parallelism']),
  };
  const bearable =
    cost.memory >= 8 * cost.parallelism &&
    cost.memory <= MAX_COST.memory &&
    cost.passes >= 1 &&
    cost.passes <= MAX_COST.passes &&
    cost.parallelism >= 1 &&
    cost.parallelism <= MAX_COST.parallelism;
  if (!bearable) throw new ServiceError('internal', 'a stored password hash asks for a cost that is out of bounds');
  return { cost, salt: Buffer.from(groups['salt']!, 'base64'), tag: Buffer.from(groups['tag']!, 'base64') };
}

/** Whether two secrets are equal, in a time that tells nothing of either, not even of their lengths. */
export function isSameSecret(one: string, other: string): boolean {
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  return timingSafeEqual(digest(one), digest(other));
}
