/** One entry of a directory, reduced to what a run needs. Knows neither LDAP nor the mapping. */
/** One entry of the directory, reduced to what was asked for. */
export interface Entry {
  /** As the server spells it. */
  readonly dn: string;
  /** The unique id as canonical text; null where this bind user can't read it or the entry has none. */
  readonly id: string | null;
  /** Whether the directory marks the account disabled or expired, by the rule of its vendor. */
  readonly disabled: boolean;
  /**
   * Values by attribute name in lower case, options such as `;lang-de` cut off. Bytes that are no UTF-8 come as text with
   * U+FFFD in it. An attribute without a value is absent.
   */
  readonly attributes: Readonly<Record<string, readonly string[] | undefined>>;
}
