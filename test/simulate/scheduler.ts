/**
 * The one place where the simulation chooses: which of the things that could happen next does. One process, one seed, no
 * real time. Everything that is I/O in the service is a step here; between two steps all promises run as far as they can.
 */
import type { Random } from '../../src/demo/workload/random.ts';

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
  readonly isAlive: () => boolean;
}

/** Longest that a step may be held back, ms: long enough for others to do much in the meantime. */
const HELD_BACK_MS = 800;
/** Chance that time passes although something could happen at once: steps take time, too. */
const TIME_PASSES = 0.04;
/** Longest such leap, ms. */
const LEAP_MS = 300;

/** All promises that can go on have gone on: the next-tick queue is served when the microtasks are empty. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    process.nextTick(resolve);
  });
}

export class Scheduler {
  readonly random: Random;
  nowMs: number;
  steps = 0;
  /** Share of steps that are held back: some runs are lock-step, in others somebody is always slow. */
  slowness = 0;
  readonly #ready: (() => void)[] = [];
  #timers: Timer[] = [];

  constructor(random: Random, startMs: number) {
    this.random = random;
    this.nowMs = startMs;
  }

  /** Something that can happen now, in any order with everything else that can. */
  step(run: () => void): void {
    if (this.slowness > 0 && this.random.chance(this.slowness)) this.after(this.random.below(HELD_BACK_MS), run);
    else this.#ready.push(run);
  }

  /** Something that happens no earlier than that. */
  after(ms: number, run: () => void, isAlive: () => boolean = () => true): void {
    this.#timers.push({ dueMs: this.nowMs + ms, run, isAlive });
  }

  /** One step. False where nothing is left that could ever happen. */
  async advance(): Promise<boolean> {
    this.steps += 1;
    const { random } = this;
    if (this.#ready.length > 0 && !random.chance(TIME_PASSES)) {
      const at = random.below(this.#ready.length);
      const run = this.#ready[at]!;
      // Order of the rest does not matter: it is drawn from.
      this.#ready[at] = this.#ready.at(-1)!;
      this.#ready.pop();
      run();
    } else if (!this.#passTime()) return this.#ready.length > 0;
    await settled();
    return true;
  }

  /** Goes on until it is over. False where it never would be, or not within that many steps. */
  async until(isOver: () => boolean, maxSteps: number): Promise<boolean> {
    for (let left = maxSteps; left > 0; left -= 1) {
      if (isOver()) return true;
      if (!(await this.advance())) return isOver();
    }
    return false;
  }

  #passTime(): boolean {
    this.#timers = this.#timers.filter((timer) => timer.isAlive());
    let next: Timer | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.dueMs < next.dueMs) next = timer;
    if (next === undefined) return false;
    if (this.#ready.length > 0) {
      const leapMs = this.nowMs + this.random.below(LEAP_MS);
      if (next.dueMs > leapMs) {
        this.nowMs = leapMs;
        return true;
      }
    }
    this.nowMs = Math.max(this.nowMs, next.dueMs);
    this.#timers.splice(this.#timers.indexOf(next), 1);
    next.run();
    return true;
  }
}
