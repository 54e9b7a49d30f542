/** What every benchmark does around its work: options, notes of progress, signals, clearing up. */

export function say(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}

/**
 * Runs a benchmark and prints its report. Everything that it starts is deferred to `cleanUp`, and gone at the end, however
 * that comes.
 *
 * @param parse throws a TypeError for wrong usage.
 * @returns the exit code.
 */
export async function runBench<T>(
  usage: string,
  parse: (args: readonly string[]) => T,
  run: (options: T, cleanUp: AsyncDisposableStack) => Promise<string>,
): Promise<number> {
  let options: T;
  try {
    options = parse(process.argv.slice(2));
  } catch (error) {
    say(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    return 2;
  }
  const cleanUp = new AsyncDisposableStack();
  const stopped = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`stopped by ${signal}`)));
  });
  try {
    const work = run(options, cleanUp);
    // When a signal wins, what the work still does fails while everything under it is taken away: no news.
    work.catch(() => undefined);
    console.log(await Promise.race([work, stopped]));
    return 0;
  } catch (error) {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return 1;
  } finally {
    await cleanUp.disposeAsync();
  }
}
