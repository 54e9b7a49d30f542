import { styleText } from 'node:util';

/** Colours of the screen, or none. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly accent: (text: string) => string;
}

const plain = (text: string): string => text;

/** Without colours: for logs, and where NO_COLOR asks for it. */
export const noPaint: Paint = { strong: plain, faint: plain, good: plain, bad: plain, warn: plain, accent: plain };

const styled =
  (format: Parameters<typeof styleText>[0]) =>
  (text: string): string =>
    styleText(format, text, { validateStream: false });

const colours: Paint = {
  strong: styled('bold'),
  faint: styled('dim'),
  good: styled('green'),
  bad: styled('red'),
  warn: styled('yellow'),
  accent: styled('cyan'),
};

/** What suits a stream. */
export function paintFor(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Paint {
  const wanted = env['NO_COLOR'] === undefined || env['NO_COLOR'] === '';
  return stream.isTTY && wanted ? colours : noPaint;
}
