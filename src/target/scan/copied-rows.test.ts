import fc from 'fast-check';
import { expect, it } from 'vitest';
import { copied, copyLine } from '../../../test/support/copy-text.ts';
import { CopiedRows } from './copied-rows.ts';

/** What COPY escapes, what looks like it, and everything else. */
const text = fc.oneof(
  fc.constantFrom('', '\\N', '\\', '\\\\', '\t', '\n', '\\t', 'N', '\\.', 'ß\\é', '\b\f\r\v'),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: fc.constantFrom('\\', '\t', '\n', 'N', 'x') }),
);

it('gives back every cell of every row', () => {
  const rowsOf = (width: number) =>
    fc.array(fc.array(fc.option(text), { minLength: width, maxLength: width }), { maxLength: 40 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }).chain(rowsOf), (rows) => {
      const read = copied(rows);
      expect(read).toHaveLength(rows.length);
      expect(rows.map((_, i) => read.texts(i))).toEqual(rows);
    }),
    { numRuns: 2_000 },
  );
});

it('makes room for more and longer rows than it begins with', () => {
  const rows = Array.from({ length: 5_000 }, (_, i) => [String(i), i % 3 === 0 ? null : `\t${'long '.repeat(40)}`]);
  const read = copied(rows);
  expect(rows.map((_, i) => read.texts(i))).toEqual(rows);
  expect(read.text(0, 1)).toBeNull();
  expect(read.start(0, 1)).toBeLessThan(0);
  const wide = new CopiedRows(1);
  wide.add(copyLine(['x'.repeat(3_000_000)]));
  expect(wide.text(0, 0)).toHaveLength(3_000_000);
});

it('keeps nothing of the memory that a line came in: the driver uses it again', () => {
  const read = new CopiedRows(2);
  const line = copyLine(['a', 'b']);
  read.add(line);
  line.fill(0);
  expect(read.texts(0)).toEqual(['a', 'b']);
});
