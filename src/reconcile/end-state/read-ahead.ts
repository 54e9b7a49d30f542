/**
 * Asks for what comes next while what came is worked on: source, target and this process each have something to do. The
 * first is asked for at once. One item more is held.
 */
export function readAhead<T>(items: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = items[Symbol.asyncIterator]();
  const ask = (): Promise<IteratorResult<T>> => {
    const asked = iterator.next();
    // Whoever comes to it hears of its failure; where its turn never comes, nobody asks what became of it.
    asked.catch(() => undefined);
    return asked;
  };
  const first = ask();
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (let asked = first; ;) {
          const next = await asked;
          if (next.done === true) return;
          asked = ask();
          yield next.value;
        }
      } finally {
        await iterator.return?.();
      }
    },
  };
}
