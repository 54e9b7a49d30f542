/** Delivery windows over time as a strip: each part of the span in the colour of its worst verdict. Pure. */
import { html } from 'ghtml';
import { WINDOW_SLOTS, type WindowAccount } from './reconciliation-report.ts';

const SLOT = 7;
const HEIGHT = 18;

/** Empty text where no window was verified. */
export function windowStrip({ timeline }: WindowAccount): string {
  if (timeline.length === 0) return '';
  const parts = timeline.map(({ slot, from, pass, drift, inconclusive }) => {
    const worst = drift > 0 ? 'drift' : inconclusive > 0 ? 'inconclusive' : 'pass';
    const title = `from ${from}: ${pass} PASS, ${drift} DRIFT, ${inconclusive} INCONCLUSIVE`;
    return html`<rect class="${worst}" x="${slot * SLOT}" y="0" width="${SLOT - 1}" height="${HEIGHT}"
      ><title>${title}</title></rect
    >`;
  });
  return html`<svg
    class="strip"
    viewBox="0 0 ${WINDOW_SLOTS * SLOT} ${HEIGHT}"
    preserveAspectRatio="none"
    role="img"
    aria-label="Delivery windows over time"
  >
    !${parts}
  </svg>`;
}
