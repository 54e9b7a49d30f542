/** Arguments that several commands take; what is none is wrong usage. */
import { InvalidArgumentError } from 'commander';

/** A time, as ms since the epoch. */
export function timeArgument(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('expected a time such as 2026-11-27T14:00:00Z');
  return ms;
}

/** A text that says something: an empty one is mostly a variable that is not set. */
export function textArgument(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('expected a text that is not empty');
  return text;
}

/** A whole number from 1. */
export function countArgument(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('expected a whole number from 1');
  return value;
}

/** The ID of a job, as the commands that begin one print it. */
export function jobArgument(text: string): string {
  if (!UUID.test(text))
    throw new InvalidArgumentError('expected the ID of a job, such as the command that began it printed');
  return text;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
