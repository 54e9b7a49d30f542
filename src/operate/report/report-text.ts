/** Figures and times as people read them. Pure. */
import { html } from 'ghtml';
import type { Verdict } from './table-standing.ts';

export const count = (n: number | null): string => (n === null ? '–' : n.toLocaleString('en-US'));

/** Small shares keep their first digits: 0.0003 % is not 0 %. */
export function percent(value: number | null): string {
  if (value === null) return '–';
  if (value === 0 || value === 100) return `${value} %`;
  // 99.9996 is not 100.
  if (value > 99) return `${Math.min(value, 99.9999).toFixed(4).replace(/0+$/, '')} %`;
  return `${value >= 1 ? value.toFixed(2) : value.toPrecision(2)} %`;
}

export const moment = (text: string): string => `${text.slice(0, 10)} ${text.slice(11, 16)}`;
export const day = (text: string): string => text.slice(0, 10);

export function duration(fromText: string, toText: string | null): string {
  if (toText === null) return '–';
  const seconds = (Date.parse(toText) - Date.parse(fromText)) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const SIGNS: Readonly<Record<Verdict, string>> = { PASS: '✓', DRIFT: '◆', INCONCLUSIVE: '?' };

/** Sign and word, so that colour alone says nothing. */
export function verdictBadge(verdict: Verdict | null): string {
  if (verdict === null) return html`<span class="badge other">–</span>`;
  return html`<span class="badge ${verdict.toLowerCase()}">${SIGNS[verdict]} ${verdict}</span>`;
}
