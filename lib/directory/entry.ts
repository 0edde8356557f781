/** Entries of a directory, reduced to the data that a run needs. Knows neither LDAP nor the mapping. */
/** One entry of the directory, reduced to the requested attributes. */
export interface Entry {
  /** In the server's spelling. */
  readonly dn: string;
  /** The unique id as canonical text; null if the entry has none or the bind DN can't read it. */
  readonly id: string | null;
  /** Whether the directory marks the account as disabled or expired, by the rule of its vendor. */
  readonly disabled: boolean;
  /**
   * Values by attribute name in lower case, without options such as `;lang-de`. Bytes that are not UTF-8 appear as
   * U+FFFD in the text. An attribute without a value is absent.
   */
  readonly attributes: Readonly<Record<string, readonly string[] | undefined>>;
}
