/** The demo: the whole pipeline on this machine, under load and faults, with a proof at the end. */
export type { DemoOptions } from './demo-options.ts';
export { DemoError } from './demo-error.ts';
export { outcomeDocument, outcomeText, outcomeVerdict, type DemoOutcome } from './report.ts';
export { runDemo } from './run-demo.ts';
export { Board } from './screen/board.ts';
export { paintFor } from './screen/paint.ts';
export { openScreen } from './screen/screen.ts';
