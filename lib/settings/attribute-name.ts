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

/** The name without its options, in lower case: the form in which types of attributes are compared. */
export function attributeKey(attribute: string): string {
  const semicolon = attribute.indexOf(';');
  return (semicolon === -1 ? attribute : attribute.slice(0, semicolon)).toLowerCase();
}

/** The options of a name, in lower case and in sort order, because their order means nothing (RFC 4512 section 2.5). */
export function attributeOptions(attribute: string): readonly string[] {
  if (!attribute.includes(';')) return [];
  return [...new Set(attribute.toLowerCase().split(';').slice(1))].toSorted();
}

/** The form in which attribute descriptions are compared: name and options in lower case, the options in sort order. */
export function descriptionKey(attribute: string): string {
  if (!attribute.includes(';')) return attribute.toLowerCase();
  return [attributeKey(attribute), ...attributeOptions(attribute)].join(';');
}

/**
 * Whether an attribute has all of these options; a server that is asked for `cn` or `cn;lang-de` also sends
 * `cn;lang-de;x-own` (RFC 4512 section 2.5.2). An option that ends with a hyphen stands for every language tag that
 * begins like it (RFC 3866 section 2.2).
 */
export function hasOptions(attribute: string, wanted: readonly string[]): boolean {
  if (wanted.length === 0) return true;
  const options = attributeOptions(attribute);
  return wanted.every((one) =>
    options.some((option) => option === one || (one.endsWith('-') && `${option}-`.startsWith(one))),
  );
}

/** The attribute names in a comma-separated setting, trimmed, without empty ones. */
export function attributeList(setting: string): readonly string[] {
  return setting
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
