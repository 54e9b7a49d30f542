/** What a person sees, as plain data: the demo writes to it, the screen draws it. */

/** Stages of a demo, in order. */
export type Phase = 'stack' | 'shop' | 'workload' | 'losses' | 'drain' | 'repair' | 'proof' | 'done';

/** A step of the preparation. */
export interface Step {
  readonly name: string;
  state: 'running' | 'done' | 'failed';
  detail: string;
  readonly startedMs: number;
}

/** An entry of the list of events. */
export interface BoardEvent {
  readonly atMs: number;
  readonly kind: 'kill' | 'restart' | 'redelivery' | 'poison' | 'loss' | 'found' | 'repair' | 'note';
  readonly text: string;
}

/** A flow with its total, its present rate and the rates of the last minute. */
export interface Flow {
  total: number;
  perSecond: number;
  readonly history: number[];
}

/** One look at the numbers. Null where nothing is known yet. */
export interface Numbers {
  readonly writes: Flow;
  readonly records: Flow;
  readonly changes: Flow;
  rows: number | null;
  agentHealthy: boolean | null;
  service: 'stopped' | 'starting' | 'running' | 'down';
  lag: number | null;
  stalenessMs: number | null;
  stalenessP50: number | null;
  stalenessP99: number | null;
  duplicates: number;
  deadLetters: number;
  restarts: number;
}

/** Seconds of rates that are kept: as many as the sparkline can show. */
const HISTORY_SECONDS = 90;

const flow = (): Flow => ({ total: 0, perSecond: 0, history: [] });

/** Moves a flow on by one second. */
export function advance(of: Flow, total: number, seconds: number): void {
  const gained = Math.max(0, total - of.total);
  of.perSecond = seconds > 0 ? gained / seconds : 0;
  of.total = Math.max(of.total, total);
  of.history.push(of.perSecond);
  if (of.history.length > HISTORY_SECONDS) of.history.shift();
}

/** Times are milliseconds since the demo began, from the clock that the board is given. */
export class Board {
  readonly seed: number;
  readonly rate: number;
  readonly workloadMs: number;
  phase: Phase = 'stack';
  /** What the phase is doing right now. */
  doing = '';
  workloadStartedMs: number | null = null;
  readonly steps: Step[] = [];
  readonly events: BoardEvent[] = [];
  readonly numbers: Numbers = {
    writes: flow(),
    records: flow(),
    changes: flow(),
    rows: null,
    agentHealthy: null,
    service: 'stopped',
    lag: null,
    stalenessMs: null,
    stalenessP50: null,
    stalenessP99: null,
    duplicates: 0,
    deadLetters: 0,
    restarts: 0,
  };
  readonly #nowMs: () => number;
  readonly #listeners: ((line: string) => void)[] = [];

  constructor(options: { seed: number; rate: number; seconds: number; nowMs: () => number }) {
    this.seed = options.seed;
    this.rate = options.rate;
    this.workloadMs = options.seconds * 1000;
    this.#nowMs = options.nowMs;
  }

  /** Milliseconds since the demo began. */
  get elapsedMs(): number {
    return this.#nowMs();
  }

  /** Milliseconds since the workload began, 0 before. */
  get workloadElapsedMs(): number {
    return this.workloadStartedMs === null ? 0 : this.elapsedMs - this.workloadStartedMs;
  }

  /** Told of everything worth a line of its own. */
  onLine(listener: (line: string) => void): void {
    this.#listeners.push(listener);
  }

  enter(phase: Phase, doing = ''): void {
    this.phase = phase;
    this.doing = doing;
    if (phase === 'workload') this.workloadStartedMs = this.elapsedMs;
    if (doing !== '') this.#line(doing);
  }

  progress(doing: string): void {
    if (this.doing === doing) return;
    this.doing = doing;
    this.#line(doing);
  }

  begin(name: string): void {
    if (this.steps.some((step) => step.name === name && step.state === 'running')) return;
    this.steps.push({ name, state: 'running', detail: '', startedMs: this.elapsedMs });
  }

  end(name: string, state: 'done' | 'failed', detail = ''): void {
    const step = this.steps.findLast((each) => each.name === name);
    if (step === undefined) return;
    step.state = state;
    step.detail = detail === '' ? `${((this.elapsedMs - step.startedMs) / 1000).toFixed(1)} s` : detail;
    this.#line(`${name}: ${state === 'done' ? '' : 'failed '}${step.detail}`);
  }

  tell(kind: BoardEvent['kind'], text: string): void {
    this.events.push({ atMs: this.workloadElapsedMs, kind, text });
    this.#line(text);
  }

  #line(text: string): void {
    for (const listener of this.#listeners) listener(text);
  }
}
