/** What the native provider must know of a part to run it. The parts are in `parts/`. */
import type { AnyPartName } from '../stack.ts';
import type { Java } from './java.ts';
import type { JarDirs } from './jars.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { NativeOptions } from './native-options.ts';
import type { NativeState } from './state-file.ts';
import type { RunAs } from './unprivileged.ts';

/** Everything that was found or chosen before a start. */
export interface StartContext {
  readonly dir: string;
  readonly state: NativeState;
  readonly java: Java;
  readonly jars: JarDirs;
  readonly postgres: PostgresBinaries;
  readonly runAs: RunAs | null;
  readonly options: NativeOptions;
}

/** A program to run. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly runAs?: RunAs | null;
}

/** One part, run as one process. */
export interface NativePart {
  readonly name: AnyPartName;
  /** What a clean stop is asked for with. */
  readonly stopSignal: NodeJS.Signals;
  /** How long a clean stop may take before SIGKILL, in milliseconds. */
  readonly stopLimitMs: number;
  /** How long a start may take before it counts as stuck, in milliseconds: generous, since one that failed is noticed at once. */
  readonly startLimitMs: number;
  /** Writes configuration, and makes the data directory when there is none. May be run over existing data. */
  prepare(context: StartContext): Promise<void>;
  launch(context: StartContext): Launch;
  /** Whether it answers a client, now. Never throws; answers within about a second. */
  isHealthy(state: NativeState): Promise<boolean>;
  /** Tried between two looks at a starting part that is not healthy yet. Never throws. */
  finishStart?(state: NativeState): Promise<void>;
  /** For people: where it listens, without credentials. */
  endpoint(state: NativeState): string;
  /** What to do when it does not start, beyond reading its log. */
  readonly remedy: string;
}

/** Options that every JVM here gets. */
export const JVM_OPTIONS: readonly string[] = [
  // One GC thread pool per core in four JVMs on a laptop costs more than it gains.
  '-XX:+UseG1GC',
  '-XX:ParallelGCThreads=2',
  '-XX:ConcGCThreads=1',
  // A heap that is full is an error in the log and an ended process, not a process that limps on.
  '-XX:+ExitOnOutOfMemoryError',
  '-Djava.net.preferIPv4Stack=true',
  '-Djava.awt.headless=true',
];

/** Cassandra's classes install a security manager, which Java 18 and later only allow when asked to. */
export function securityManagerOption(java: Java): string[] {
  return java.major >= 18 ? ['-Djava.security.manager=allow'] : [];
}
