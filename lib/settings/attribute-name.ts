/** Attribute names as written in settings, filters and server answers (RFC 4512 section 2.5). Knows no schema. */

/** A name or an OID, as the source of a regular expression (RFC 4512 section 1.4). */
export const OID_PATTERN = String.raw`(?:[A-Za-z][A-Za-z0-9-]*|(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+)`;

/** A name or an OID with its options, such as `cn;lang-de`, as the source of a regular expression. */
export const ATTRIBUTE_PATTERN = String.raw`${OID_PATTERN}(?:;[A-Za-z0-9-]+)*`;

const ATTRIBUTE = new RegExp(`^${ATTRIBUTE_PATTERN}$`);

/** Whether a text is an attribute description: a name or an OID, with or without options. */
export function isAttributeName(text: string): boolean {
  return ATTRIBUTE.test(text);
}

/** The name without its options, in lower case: the form in which names are compared. */
export function attributeKey(attribute: string): string {
  const semicolon = attribute.indexOf(';');
  return (semicolon === -1 ? attribute : attribute.slice(0, semicolon)).toLowerCase();
}

/** The attribute names in a comma-separated setting, trimmed, without empty ones. */
export function attributeList(setting: string): readonly string[] {
  return setting
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
