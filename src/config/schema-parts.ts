import { z } from 'zod';
import { DURATION_PATTERN, parseDuration } from './duration.ts';

/** Kinds of values that several sections of the schema have. */

export const text = z.string().min(1);
export const wholeNumber = (minimum: number, maximum: number) => z.int().min(minimum).max(maximum);
export const duration = z
  .string()
  .regex(DURATION_PATTERN)
  .meta({ title: 'a duration with its unit (ms, s, m, h, d)', examples: ['500ms', '60s', '1h'] })
  .transform(parseDuration);
