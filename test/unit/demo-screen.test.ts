import { describe, expect, it } from 'vitest';
import { advance, Board } from '../../src/demo/screen/board.ts';
import { drawBoard } from '../../src/demo/screen/draw.ts';
import { noPaint } from '../../src/demo/screen/paint.ts';
import { CounterOverRestarts, parseMetrics, sumOf } from '../../src/demo/service/metrics-text.ts';

function busyBoard(): Board {
  let now = 0;
  const board = new Board({ seed: 4_294_967_295, rate: 20_000, seconds: 60, nowMs: () => now });
  board.begin('cassandra');
  board.end('cassandra', 'done');
  board.enter('workload');
  for (let second = 1; second <= 100; second += 1) {
    now += 1_000;
    for (const flow of [board.numbers.writes, board.numbers.records, board.numbers.changes]) {
      advance(flow, second * 123_456, 1);
    }
  }
  Object.assign(board.numbers, {
    rows: 12_345_678,
    agentHealthy: false,
    service: 'running',
    lag: 12_345_678,
    stalenessMs: 123_456,
    stalenessP50: 123_456,
    stalenessP99: 123_456,
    duplicates: 1_234_567,
    deadLetters: 12,
    restarts: 2,
  });
  for (let event = 0; event < 20; event += 1) board.tell('note', 'something long happened '.repeat(9));
  return board;
}

describe('the screen', () => {
  it.each([80, 100, 120, 200])('keeps within %i columns', (columns) => {
    const board = busyBoard();
    for (const phase of ['stack', 'shop', 'workload', 'losses', 'drain', 'repair', 'proof', 'done'] as const) {
      board.phase = phase;
      const widths = drawBoard(board, { columns, rows: 40 }, noPaint)
        .split('\n')
        .map((line) => [...line].length);
      expect(Math.max(...widths)).toBeLessThanOrEqual(Math.min(columns, 120));
    }
  });

  it('scrolls its events, so that it does not grow', () => {
    const board = busyBoard();
    board.enter('drain', 'waiting');
    for (const rows of [24, 40]) {
      const height = drawBoard(board, { columns: 80, rows }, noPaint).split('\n').length;
      board.tell('kill', 'one more');
      expect(drawBoard(board, { columns: 80, rows }, noPaint).split('\n')).toHaveLength(height);
      expect(height).toBeLessThanOrEqual(rows);
    }
  });
});

describe('the metrics of the service', () => {
  it('sums a counter over its labels', () => {
    const text = [
      '# HELP cdc_changes_total Changes',
      'cdc_changes_total{table="shop.orders",outcome="processed"} 12',
      'cdc_changes_total{table="a \\"b\\"",outcome="dead_lettered"} 1',
      'cdc_bytes_in_flight 1.5e+3',
      '',
    ].join('\n');
    const samples = parseMetrics(text);
    expect(sumOf(samples, 'cdc_changes_total')).toBe(13);
    expect(samples.get('cdc_changes_total')?.[1]?.labels).toEqual({ table: 'a "b"', outcome: 'dead_lettered' });
    expect(sumOf(samples, 'cdc_bytes_in_flight')).toBe(1500);
    expect(sumOf(samples, 'nothing')).toBe(0);
  });

  it('go on counting over restarts', () => {
    const counter = new CounterOverRestarts();
    for (const value of [0, 5, 9, 0, 4, 2]) counter.see(value);
    expect(counter.total).toBe(9 + 4 + 2);
  });
});
