const PREFIX = 'failed:';

/** Name under which a job counts failures of a code, beside `failed` for all of them. */
export function failureCount(code: string): string {
  return PREFIX + code;
}

/** Failures by code, out of a job's counts. */
export function failuresOf(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(counts).flatMap(([name, count]) =>
      name.startsWith(PREFIX) ? [[name.slice(PREFIX.length), count] as const] : [],
    ),
  );
}
