import { expect, it } from 'vitest';
import { hourBars, hourSpan } from './hour-bars.ts';

const hour = (n: number): number => n * 3_600_000;

it('shows each hour by itself on a day, blanks where nothing was', () => {
  const span = hourSpan([hour(10), hour(13)])!;
  expect(span).toEqual({ fromMs: hour(10), hoursPerBar: 1, bars: 4 });
  expect(
    hourBars(span, [
      { hourMs: hour(10), count: 1 },
      { hourMs: hour(13), count: 800 },
    ]),
  ).toBe('▁  █');
});

it('puts hours together where the span is long, and loses none', () => {
  const hours = Array.from({ length: 100 }, (_, i) => ({ hourMs: hour(i), count: 1 }));
  const span = hourSpan(hours.map(({ hourMs }) => hourMs))!;
  expect(span).toEqual({ fromMs: 0, hoursPerBar: 5, bars: 20 });
  expect(hourBars(span, hours)).toBe('█'.repeat(20));
});

it('has no span without letters', () => {
  expect(hourSpan([])).toBeNull();
});
