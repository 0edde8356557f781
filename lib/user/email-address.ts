/**
 * E-mail addresses of users: their syntax, how to read them from the values of a directory, how they are compared, and
 * the size limit for one user. Sends no mail.
 */

// RFC 5322 section 3.4.1 as people use it: a local part, quoted if it has special characters, and a domain or an IP
// address in brackets; letters of any script (RFC 6532). Any stricter rule is up to the mail system.
const NEVER = String.raw`\p{Cc}\p{Cs}\uFFFD`;
const SPECIAL = String.raw`\s@"(),:;<>[\]\\${NEVER}`;
const LOCAL_PART = String.raw`(?:[^${SPECIAL}]+|"(?:[^"\\${NEVER}]|\\[^${NEVER}])+")`;
const DOMAIN = String.raw`(?:[^'${SPECIAL}]+|\[[^\s@[\]\\${NEVER}]+\])`;

/** Matches a text that is a single e-mail address. */
export const EMAIL_ADDRESS = new RegExp(`^${LOCAL_PART}@${DOMAIN}$`, 'u');

/** The form in which e-mail addresses are compared: NFC, without letter case. Addresses are stored under this key. */
export function addressKey(address: string): string {
  return address.normalize('NFC').trim().toUpperCase().toLowerCase().normalize('NFC');
}

/**
 * Most bytes of addresses that one user may have: far above any real mailbox. Low enough for a transaction of many
 * users, and for an event that carries the old and the new addresses with every character escaped.
 */
export const MAX_ADDRESS_BYTES = 16 * 1024;

/** Whether the addresses of one user are longer than MAX_ADDRESS_BYTES in total. */
export function exceedAddressBytes(emailAddresses: readonly string[]): boolean {
  // UTF-8 takes at most three bytes for each UTF-16 code unit.
  const most = emailAddresses.reduce((sum, address) => sum + 3 * address.length + 1, 0);
  if (most <= MAX_ADDRESS_BYTES) return false;
  return Buffer.byteLength(emailAddresses.join()) > MAX_ADDRESS_BYTES;
}

/** The addresses in one value of a directory. */
export interface ReadAddresses {
  readonly addresses: readonly string[];
  /** The address that the value itself marks as the primary one (`SMTP:`); null if it marks none. */
  readonly primary: string | null;
  /** The parts that can't be read as an address. Parts of another type, such as `sip:`, are not among them. */
  readonly unreadable: readonly string[];
}

/** Matches most values that are a single e-mail address, and nothing else; faster than EMAIL_ADDRESS. */
export const PLAIN_ADDRESS = /^[\w.+-]+@[\w.-]+$/;

// Most other values are of this kind, and a run reads hundreds of thousands.
const PLAIN = new RegExp(`^(smtp:)?(${PLAIN_ADDRESS.source.slice(1, -1)})$`, 'i');

const NOTHING: ReadAddresses = { addresses: [], primary: null, unreadable: [] };

const TYPED = /^(?<type>[a-z0-9-]+):(?<rest>.*)$/isu;
const GROUP = /^[^:"<>@]+:\s(?<members>[^]*);$/u;
const ANGLES = /<(?<address>[^<>]*)>[^<>@]*$/u;

/**
 * Reads the addresses of a value: one or several of them (RFC 5322 section 3.4, with commas, semicolons or line breaks
 * in between), each with or without a display name, `<>`, comments, or the prefix `SMTP:`, `smtp:` (proxyAddresses) or
 * `mailto:` (RFC 6068). Leaves out values with another prefix, such as `x500:` and `sip:`.
 * @see https://learn.microsoft.com/en-us/windows/win32/adschema/a-proxyaddresses
 */
export function readAddresses(value: string): ReadAddresses {
  const plain = PLAIN.exec(value);
  if (plain !== null) {
    const address = plain[2]!;
    return { addresses: [address], primary: plain[1] === 'SMTP:' ? address : null, unreadable: NOTHING.unreadable };
  }
  if (EMAIL_ADDRESS.test(value)) return { addresses: [value], primary: null, unreadable: NOTHING.unreadable };
  const text = (GROUP.exec(value.trim())?.groups?.['members'] ?? value).trim();
  if (text === '' || isOtherType(text)) return NOTHING;
  const addresses: string[] = [];
  const unreadable: string[] = [];
  let primary: string | null = null;
  // The beginning of a display name with a comma in it: Weber, Anna <anna@example.com>
  let open: string[] = [];
  for (const part of splitList(text)) {
    if (isOtherType(part)) continue;
    if (!part.includes('@')) {
      open.push(part);
      continue;
    }
    const found = readPart(part);
    if (!ANGLES.test(part)) unreadable.push(...open);
    open = [];
    if (found.length === 0) unreadable.push(part);
    else if (part.startsWith('SMTP:')) primary ??= found[0]!;
    addresses.push(...found);
  }
  return { addresses, primary, unreadable: [...unreadable, ...open] };
}

/** Whether the text has a type that is not an e-mail address. White space after the colon makes it a label instead. */
function isOtherType(text: string): boolean {
  const { type, rest } = TYPED.exec(text)?.groups ?? {};
  return type !== undefined && !/^(?:smtp|mailto)$/i.test(type) && /^\S/u.test(rest!);
}

/** The addresses of a part: one, or several with white space in between; none if it can't be read. */
function readPart(part: string): string[] {
  const bare = unwrap(withoutComments(part));
  if (EMAIL_ADDRESS.test(bare)) return [bare];
  const pieces = bare.split(/\s+/u).map(unwrap);
  return pieces.every((piece) => EMAIL_ADDRESS.test(piece)) ? pieces : [];
}

/** The text without prefix, display name, angle brackets and single quotes around it. */
function unwrap(text: string): string {
  let bare = text.trim();
  for (;;) {
    const before = bare;
    bare = (ANGLES.exec(bare)?.groups?.['address'] ?? bare).replace(/^'(.*)'$/su, '$1').trim();
    const { type, rest } = TYPED.exec(bare)?.groups ?? {};
    if (type !== undefined) bare = type.toLowerCase() === 'mailto' ? decodeMailto(rest!) : rest!.trim();
    if (bare === before) return bare;
  }
}

/** RFC 6068 section 2: header fields follow a question mark, and characters may be percent-encoded. */
function decodeMailto(rest: string): string {
  const [address = ''] = rest.trim().split('?', 1);
  try {
    return decodeURIComponent(address);
  } catch {
    return address;
  }
}

/** The parts of a list. A text in which a quote or a bracket is left open has no parts but those between separators. */
function splitList(text: string): string[] {
  const parts = text.match(/(?:"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)|<[^<>]*>|[^,;\r\n"(<])+|["(<]/gsu) ?? [];
  const isBroken = parts.some((part) => /^["(<]$/u.test(part));
  return (isBroken ? text.split(/[,;\r\n]/u) : parts).map((part) => part.trim()).filter((part) => part !== '');
}

function withoutComments(text: string): string {
  return text.replaceAll(/("(?:[^"\\]|\\.)*")|\((?:[^()\\]|\\.)*\)/gsu, (_all, quoted: string | undefined) => {
    return quoted ?? ' ';
  });
}
