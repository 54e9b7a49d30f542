/** Counts by hour as a line of bars. Pure. */

const BARS = '▁▂▃▄▅▆▇█';
const HOUR_MS = 3_600_000;
/** Wider lines break in a table on an ordinary terminal; longer spans have several hours a bar. */
const MAX_BARS = 24;

export interface HourSpan {
  readonly fromMs: number;
  readonly hoursPerBar: number;
  readonly bars: number;
}

/** The span of all hours, cut into bars of equally many hours; null where there are none. */
export function hourSpan(hours: readonly number[]): HourSpan | null {
  if (hours.length === 0) return null;
  const fromMs = Math.min(...hours);
  const count = Math.round((Math.max(...hours) - fromMs) / HOUR_MS) + 1;
  const hoursPerBar = Math.ceil(count / MAX_BARS);
  return { fromMs, hoursPerBar, bars: Math.ceil(count / hoursPerBar) };
}

/** One bar for each part of the span, its height by the largest of them; a part without any is a blank. */
export function hourBars(
  span: HourSpan,
  counts: readonly { readonly hourMs: number; readonly count: number }[],
): string {
  const sums = new Array<number>(span.bars).fill(0);
  for (const { hourMs, count } of counts) {
    const bar = Math.floor((hourMs - span.fromMs) / (HOUR_MS * span.hoursPerBar));
    sums[bar] = (sums[bar] ?? 0) + count;
  }
  const most = Math.max(...sums);
  return sums.map((sum) => (sum === 0 ? ' ' : (BARS[Math.ceil((sum / most) * BARS.length) - 1] ?? '█'))).join('');
}
