/** Bytes of a key that are looked at for its form. */
const LOOKED_AT = 64;
const COLON = 0x3a;
const SPACE = 0x20;
/** Keys that are no JSON object have one form: how their bytes differ can't be told from what they say. */
const OPAQUE = 'opaque';

/** How a record key is written: everything before its first value, `{"id":` or `{"schema":`, and whether a space follows. */
export function keyFormOf(key: Buffer): string {
  const colon = key.subarray(0, LOOKED_AT).indexOf(COLON);
  if (colon < 0) return OPAQUE;
  return key.toString('latin1', 0, key[colon + 1] === SPACE ? colon + 2 : colon + 1);
}

/**
 * Notices when the form of the keys changes: the bytes decide the partition, so with another key converter the same key
 * goes elsewhere, as if the topic had grown (DESIGN §5). One comparison of some bytes a record.
 */
export class KeyForm {
  #form: string | null = null;
  #prefix: Buffer | null = null;

  /** The form where it is another one than that of the key before (or the first), else null. */
  changed(key: Buffer): string | null {
    const prefix = this.#prefix;
    if (prefix !== null && key.length > prefix.length && key[prefix.length] !== SPACE) {
      if (key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0) return null;
    }
    const form = keyFormOf(key);
    if (form === this.#form) return null;
    this.#form = form;
    this.#prefix = form === OPAQUE ? null : Buffer.from(form, 'latin1');
    return form;
  }

  /** The next key is compared with nothing: what was noticed could not be noted. */
  forget(): void {
    this.#form = null;
    this.#prefix = null;
  }
}
