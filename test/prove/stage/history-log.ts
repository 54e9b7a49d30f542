/** What was written: every acknowledged statement by table, in the order of acknowledgement. */
import type { Statement } from '../generate/statement.ts';
import type { GeneratedTable } from '../generate/table.ts';

/** A statement that Cassandra acknowledged. */
export interface WrittenStatement {
  readonly number: number;
  readonly statement: Statement;
}

export class HistoryLog {
  readonly #written = new Map<GeneratedTable, WrittenStatement[]>();
  #count = 0;
  /** When the last value with a short TTL is gone; ms since the epoch. */
  lastExpiryMs = 0;

  get count(): number {
    return this.#count;
  }

  add(statement: Statement, nowMs: number): void {
    this.#count += 1;
    const written = this.#written.get(statement.table) ?? [];
    written.push({ number: this.#count, statement });
    this.#written.set(statement.table, written);
    const expiresMs = nowMs + statement.ttlSeconds * 1000;
    // Those that live for a day outlive the comparison.
    if (statement.ttlSeconds < 3600 && expiresMs > this.lastExpiryMs) this.lastExpiryMs = expiresMs;
  }

  of(table: GeneratedTable): readonly WrittenStatement[] {
    return this.#written.get(table) ?? [];
  }
}
