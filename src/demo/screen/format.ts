/** Numbers and text as people read them on a terminal. */

/** `12,345`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `02:07`. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
}

/** `0.43 s`, `1.2 s`, or a dash. */
export function secondsOf(ms: number | null): string {
  if (ms === null) return '–';
  return ms < 10_000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`;
}

/** Cuts or fills to a width; `align` says where the text stands. */
export function fit(text: string, width: number, align: 'left' | 'center' | 'right' = 'left'): string {
  const cut = text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;
  const space = width - cut.length;
  if (align === 'left') return cut + ' '.repeat(space);
  if (align === 'right') return ' '.repeat(space) + cut;
  return ' '.repeat(Math.floor(space / 2)) + cut + ' '.repeat(Math.ceil(space / 2));
}

/** Breaks text at blanks into lines of at most `width` (longer where a word is). */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length > width && line !== '') {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** Values as bars against the highest; the newest is the last one. Zero is a gap. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const highest = Math.max(1, ...shown);
  return shown
    .map((value) =>
      value <= 0 ? ' ' : (BARS[Math.min(BARS.length - 1, Math.floor((value / highest) * BARS.length))] ?? ' '),
    )
    .join('')
    .padEnd(width);
}

/** A bar of progress. */
export function bar(share: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '━'.repeat(filled) + '─'.repeat(width - filled);
}
