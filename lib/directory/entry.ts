/** Entries of a directory, reduced to the data that a run needs. Knows neither LDAP nor the mapping. */
/** One entry of the directory, reduced to the requested attributes. */
export interface Entry {
  /** In the server's spelling. */
  readonly dn: string;
  /** The unique id as canonical text; null if the entry has none or the bind DN can't read it. */
  readonly id: string | null;
  /**
   * The attribute, in lower case, that marks the account as disabled or expired, by the rule of its vendor; null if
   * none does.
   */
  readonly mark: string | null;
  /** The attributes, in lower case, that say something about the account's status, whatever they say. */
  readonly statusSeen: readonly string[];
  /** Whether the entry lacks an attribute that shows the status of every account of its class. */
  readonly statusUnknown: boolean;
  /** Why the entry can't be a person, whatever its attributes say, as a clause; null if it can. */
  readonly unusable: string | null;
  /**
   * Values by attribute name as the mapping spells it, in lower case. Values with options such as `;lang-de` are under
   * the name with its options, in sort order. Bytes that are not UTF-8 appear as U+FFFD in the text. An attribute
   * without a value is absent.
   */
  readonly attributes: Readonly<Record<string, readonly string[] | undefined>>;
}
