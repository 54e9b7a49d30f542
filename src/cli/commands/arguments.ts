/** Arguments that several commands take; what is none is wrong usage. */
import { InvalidArgumentError } from 'commander';

/** A time, as ms since the epoch. */
export function timeArgument(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('expected a time such as 2026-11-27T14:00:00Z');
  return ms;
}

/** A whole number from 1. */
export function countArgument(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number from 1');
  return value;
}
