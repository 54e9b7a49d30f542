/** What processes cost, from /proc (Linux). Elsewhere the figures are null and the rest of the run still counts. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: the kernel reports CPU time to user space in hundredths of a second on every architecture Node runs on. */
const TICKS_PER_SECOND = 100;

/** Fields of /proc/PID/stat after the command, whose parentheses may hold anything. */
function statFields(pid: number | string): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

const seconds = (ticks: string | undefined): number => Number(ticks ?? 0) / TICKS_PER_SECOND;

/** User and system time of all threads of a process so far, s. */
export function cpuSeconds(pid: number): number | null {
  const fields = statFields(pid);
  return fields === null ? null : seconds(fields[11]) + seconds(fields[12]);
}

/** CPU of a process, its live children and those that it has waited for, s: PostgreSQL's server with its backends. */
export function treeCpuSeconds(pid: number): number | null {
  const own = statFields(pid);
  if (own === null) return null;
  let total = [11, 12, 13, 14].reduce((sum, field) => sum + seconds(own[field]), 0);
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const fields = statFields(entry);
    if (fields !== null && fields[1] === String(pid)) total += seconds(fields[11]) + seconds(fields[12]);
  }
  return total;
}

/** Whether a process is there and not merely waiting for its parent to look. */
export function isRunning(pid: number): boolean {
  const state = statFields(pid)?.[0];
  return state !== undefined && state !== 'Z';
}

export function parentOf(pid: number): number | null {
  const parent = statFields(pid)?.[1];
  return parent === undefined ? null : Number(parent);
}

/** Largest resident memory that a process has had, bytes. */
export function peakRssBytes(pid: number): number | null {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return found === null ? null : Number(found[1]) * 1024;
  } catch {
    return null;
  }
}

/** Runnable processes over the last minute: a figure measured beside other work is none. */
export function loadAverage(): number | null {
  try {
    return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
  } catch {
    return null;
  }
}
