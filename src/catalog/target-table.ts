/** A column of a live target table. */
export interface TargetColumn {
  readonly name: string;
  /** As `format_type` spells it; of a domain, its base type. */
  readonly type: string;
  /** Name of the domain, or null. A domain's own NOT NULL counts in `notNull`. */
  readonly domain: string | null;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  readonly generated: 'stored' | 'virtual' | null;
  readonly identity: 'always' | 'by default' | null;
  readonly collation: ColumnCollation | null;
}

export interface ColumnCollation {
  readonly name: string;
  /** Equal means byte for byte equal. */
  readonly deterministic: boolean;
  /** Text stands in the order of its UTF-8 bytes. */
  readonly bytewise: boolean;
}

export interface TargetIndex {
  readonly name: string;
  /** Key columns in order; null for an expression. */
  readonly columns: readonly (string | null)[];
  readonly included: readonly string[];
  readonly method: string;
  readonly unique: boolean;
  readonly primary: boolean;
  /** Usable: a CREATE INDEX CONCURRENTLY that failed leaves an invalid one. */
  readonly valid: boolean;
  readonly partial: boolean;
  /** Of a constraint that is checked at COMMIT; ON CONFLICT can't use it. */
  readonly deferrable: boolean;
}

/** A live target table, as PostgreSQL's catalog describes it. */
export interface TargetTable {
  readonly schema: string;
  readonly name: string;
  readonly kind: 'table' | 'partitioned' | 'view' | 'foreign' | 'other';
  readonly persistence: 'permanent' | 'unlogged' | 'temporary';
  readonly columns: readonly TargetColumn[];
  readonly indexes: readonly TargetIndex[];
  readonly fillfactor: number | null;
  /** Definitions by name. */
  readonly checks: readonly string[];
  readonly foreignKeys: readonly string[];
  /** Enabled triggers for each row, before or instead of a write. */
  readonly rowTriggers: readonly string[];
  /** Rules on INSERT or UPDATE. */
  readonly rules: readonly string[];
  /** Row security applies to the user that asked. */
  readonly rowSecurity: boolean;
  /** Of SELECT, INSERT, UPDATE and DELETE, those that the user lacks. */
  readonly missingPrivileges: readonly string[];
}
