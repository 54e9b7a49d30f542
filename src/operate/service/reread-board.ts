/** What waits for the source, as it was last counted: for `/status`. */
export class RereadBoard {
  #depths: ReadonlyMap<string, { readonly rows: number; readonly oldestMs: number }> = new Map();

  set(depths: ReadonlyMap<string, { readonly rows: number; readonly oldestMs: number }>): void {
    this.#depths = depths;
  }

  of(table: string): { readonly rows: number; readonly oldestMs: number | null } {
    return this.#depths.get(table) ?? { rows: 0, oldestMs: null };
  }
}
