/** Shows the board: one live screen on a terminal, plain lines anywhere else. */
import { createLogUpdate } from 'log-update';
import type { Board } from './board.ts';
import { drawBoard } from './draw.ts';
import { clock, count, secondsOf } from './format.ts';
import { paintFor } from './paint.ts';

/** Something that shows the board until it is closed. */
export interface Screen {
  /** Draws the last state and gives the terminal back. Closing again does nothing. */
  close(): void;
}

const FRAME_MS = 200;
/** Without a terminal, a line about the numbers this often. */
const LINE_MS = 5_000;

function liveScreen(board: Board, stream: NodeJS.WriteStream): Screen {
  const update = createLogUpdate(stream);
  const paint = paintFor(stream, process.env);
  const draw = (): void => {
    update(drawBoard(board, stream, paint));
  };
  const timer = setInterval(draw, FRAME_MS);
  draw();
  let closed = false;
  return {
    close() {
      if (closed) return;
      closed = true;
      clearInterval(timer);
      draw();
      update.done();
    },
  };
}

/** The numbers in one line. */
function numbersLine({ numbers }: Board): string {
  return [
    `${count(numbers.writes.total)} written`,
    `${count(numbers.records.total)} in Kafka`,
    `${count(numbers.changes.total)} applied (${count(numbers.changes.perSecond)}/s)`,
    `${count(numbers.rows ?? 0)} rows`,
    `lag ${numbers.lag === null ? '–' : count(numbers.lag)}`,
    `staleness ${secondsOf(numbers.stalenessMs)}`,
    `${count(numbers.duplicates)} duplicates dropped`,
  ].join(', ');
}

function lineScreen(board: Board, stream: NodeJS.WriteStream): Screen {
  const write = (text: string): void => {
    stream.write(`${clock(board.elapsedMs)}  ${text}\n`);
  };
  board.onLine(write);
  const timer = setInterval(() => {
    if (board.phase === 'workload' || board.phase === 'drain') write(numbersLine(board));
  }, LINE_MS);
  return {
    close() {
      clearInterval(timer);
    },
  };
}

/** The screen that suits the stream. */
export function openScreen(board: Board, stream: NodeJS.WriteStream): Screen {
  return stream.isTTY ? liveScreen(board, stream) : lineScreen(board, stream);
}
