/** Timers that a test owns: nothing passes unless it says so. */
import type { Timers } from '../../src/consume/timers.ts';

interface Pause {
  readonly dueMs: number;
  readonly ms: number;
  readonly end: () => void;
}

export class ManualTimers implements Timers {
  nowMs = 0;
  #pauses: Pause[] = [];
  /** What `elapsedMs` advances by at each question, to make decoding slow. */
  stepMs = 0;
  yields = 0;

  pause(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const pause: Pause = {
        ms,
        dueMs: this.nowMs + ms,
        end: () => {
          this.#pauses = this.#pauses.filter((each) => each !== pause);
          resolve();
        },
      };
      this.#pauses.push(pause);
      signal?.addEventListener('abort', pause.end, { once: true });
    });
  }

  /** Lengths of the pauses that somebody waits in. */
  get waiting(): number[] {
    return this.#pauses.map(({ ms }) => ms);
  }

  async advance(ms: number): Promise<void> {
    this.nowMs += ms;
    for (const pause of this.#pauses.filter(({ dueMs }) => dueMs <= this.nowMs)) pause.end();
    await settled();
  }

  yield(): Promise<void> {
    this.yields += 1;
    return Promise.resolve();
  }

  elapsedMs(): number {
    this.nowMs += this.stepMs;
    return this.nowMs;
  }

  random(): number {
    return 0.5;
  }
}

/** Until all promises that can go on have gone on: the fakes do no I/O, so one turn of the event loop is enough. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}
