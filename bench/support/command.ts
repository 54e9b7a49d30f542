/** A command of the program under measurement, with what it cost. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { json } from 'node:stream/consumers';
import { cpuSeconds, peakRssBytes } from './process-usage.ts';

const SAMPLE_MS = 200;
const MIB = 1024 * 1024;

export interface Cost {
  readonly seconds: number;
  readonly cpuSeconds: number | null;
  readonly peakRssMiB: number | null;
}

export interface CommandOptions {
  /** Where `--cpu-prof` leaves its profile; null = no profile. */
  readonly profileDir?: string | null;
  readonly exitCodes?: readonly number[];
}

/** Runs `lockstep` and reads its JSON answer. @throws where it ends with another exit code. */
export async function runCommand(
  program: string,
  args: readonly string[],
  { profileDir = null, exitCodes = [0] }: CommandOptions = {},
): Promise<Cost & { readonly answer: Readonly<Record<string, unknown>> }> {
  const started = performance.now();
  const profile = profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
  const child = spawn(process.execPath, [...profile, program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const used: { peak: number | null; cpu: number | null } = { peak: null, cpu: null };
  const timer = setInterval(() => {
    used.peak = peakRssBytes(child.pid ?? -1) ?? used.peak;
    used.cpu = cpuSeconds(child.pid ?? -1) ?? used.cpu;
  }, SAMPLE_MS);
  const [answer, closed] = await Promise.all([json(child.stdout), once(child, 'close')]);
  const code = closed[0] as number | null;
  clearInterval(timer);
  if (code === null || !exitCodes.includes(code)) {
    throw new Error(`lockstep ${args.join(' ')} ended with ${String(code)}: ${JSON.stringify(answer)}`);
  }
  return {
    answer: answer as Readonly<Record<string, unknown>>,
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: used.cpu,
    peakRssMiB: used.peak === null ? null : Math.round(used.peak / MIB),
  };
}
