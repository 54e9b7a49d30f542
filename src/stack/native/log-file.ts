/** One log file per part, in `logs/` of the stack's directory. */
import { open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AnyPartName } from '../stack.ts';

/** A log longer than this is set aside (one generation is kept) when its part is started. */
const LOG_LIMIT_BYTES = 16 * 1024 * 1024;

/** How much of the end of a log is read for an error message. */
const TAIL_BYTES = 16 * 1024;

/** Lines of a log that an error message shows. */
const TAIL_LINES = 15;

export function logFile(dir: string, part: AnyPartName): string {
  return join(dir, 'logs', `${part}.log`);
}

/** Sets a long log aside as `<name>.1`. */
export async function rotateLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`);
}

/** Size of the log now: what a start writes comes after it. */
export async function logSize(path: string): Promise<number> {
  return stat(path).then(
    (found) => found.size,
    () => 0,
  );
}

/** Last lines of a log from `fromByte` on, at most {@link TAIL_LINES}; empty when there are none. */
export async function lastLines(path: string, fromByte = 0): Promise<string[]> {
  const file = await open(path, 'r').catch(() => undefined);
  if (!file) return [];
  try {
    const { size } = await file.stat();
    const start = Math.max(0, Math.min(Math.max(fromByte, size - TAIL_BYTES), size));
    if (start === size) return [];
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer
      .subarray(0, bytesRead)
      .toString('utf8')
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(-TAIL_LINES);
  } finally {
    await file.close();
  }
}
