import type { ProviderChoice } from '../stack/index.ts';

/** What a demo is asked to do. */
export interface DemoOptions {
  /** How long the workload runs at least; it goes on until every fault has happened. */
  readonly seconds: number;
  /** Changes per second. */
  readonly rate: number;
  readonly faults: boolean;
  /** Goes on with the data of the last demo in this directory, and leaves them there. */
  readonly keep: boolean;
  /** The same seed makes the same choices. */
  readonly seed: number;
  readonly provider: ProviderChoice;
  readonly dir: string;
}
