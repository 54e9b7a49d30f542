/** The owner's end of the pipe to its guardian. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OWNER_VARIABLE, RELEASE } from './guardian.ts';

/** One claim on parts that are to die with this process. */
export class Owner {
  /** Names the claim in the state file and in the parts' environment. */
  readonly id: string = randomUUID();
  readonly #guardian: ChildProcess;

  constructor(dir: string) {
    // The file beside this one: guardian.ts when run from source, guardian.js when compiled.
    const program = fileURLToPath(new URL(`./guardian${extname(import.meta.url)}`, import.meta.url));
    this.#guardian = spawn(process.execPath, [program, dir, this.id], {
      // Its own session, so that a signal to our process group does not take it with us.
      detached: true,
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.#guardian.on('error', () => undefined);
    this.#guardian.stdin?.on('error', () => undefined);
    // Neither the guardian nor its pipe keeps this process running.
    this.#guardian.unref();
    (this.#guardian.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  }

  /** What a part's environment must hold. */
  environment(): Record<string, string> {
    return { [OWNER_VARIABLE]: this.id };
  }

  /** Lets the parts live on without this process; returns when the guardian is gone. */
  async release(): Promise<void> {
    if (this.#guardian.exitCode !== null || this.#guardian.signalCode !== null || this.#guardian.pid === undefined)
      return;
    const gone = once(this.#guardian, 'exit');
    this.#guardian.ref();
    this.#guardian.stdin?.end(RELEASE);
    await gone;
  }
}
