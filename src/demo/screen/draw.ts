/** Draws the board as lines of text (pure). Made for 80 columns; more are used up to 120. */
import type { Board, BoardEvent, Step } from './board.ts';
import { bar, clock, count, fit, secondsOf, sparkline } from './format.ts';
import type { Paint } from './paint.ts';

const MIN_WIDTH = 64;
const MAX_WIDTH = 118;
const STAGES = 5;
const ARROW = ' ─▶ ';
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 100;
/** Events shown at once: the list scrolls, the rest of the screen stays where it is. */
const MAX_EVENTS = 9;
/** Lines of everything but the events. */
const OTHER_LINES = 18;

const spinner = (elapsedMs: number): string => FRAMES[Math.floor(elapsedMs / FRAME_MS) % FRAMES.length] ?? '·';

/** Text and its printed form; widths are counted before colours come in. */
type Line = readonly [text: string, style?: (text: string) => string];

const pad = (text: string): string => ` ${text}`;

function heading(board: Board, width: number, paint: Paint): string[] {
  const left = 'Lockstep demo';
  const right = `seed ${board.seed} · ${count(board.rate)} changes/s`;
  const gap = ' '.repeat(Math.max(1, width - left.length - right.length));
  return [pad(paint.strong(left) + gap + paint.faint(right))];
}

function progressLine(board: Board, width: number, paint: Paint): string {
  const overdue = board.workloadElapsedMs > board.workloadMs;
  const planned = overdue
    ? `${clock(board.workloadElapsedMs)}, to the last fault`
    : `${clock(board.workloadElapsedMs)} of ${clock(board.workloadMs)}`;
  const time = board.phase === 'workload' ? planned : `${clock(board.elapsedMs)} elapsed`;
  const share = board.phase === 'workload' ? board.workloadElapsedMs / board.workloadMs : 1;
  const length = width - time.length - 2;
  const drawn = bar(share, length);
  const filled = drawn.lastIndexOf('━') + 1;
  return pad(`${paint.accent(drawn.slice(0, filled))}${paint.faint(drawn.slice(filled))}  ${time}`);
}

/** Boxes side by side, joined by arrows; each has a title and lines. */
function boxes(
  contents: readonly { readonly title: Line; readonly lines: readonly Line[] }[],
  width: number,
  paint: Paint,
): string[] {
  const inner = Math.floor((width - ARROW.length * (contents.length - 1)) / contents.length) - 2;
  const rows = Math.max(...contents.map(({ lines }) => lines.length)) + 1;
  const drawn: string[] = [];
  const across = (cells: readonly string[], between: string): string => pad(cells.join(between));
  const space = ' '.repeat(ARROW.length);
  drawn.push(
    across(
      contents.map(() => paint.faint(`╭${'─'.repeat(inner)}╮`)),
      space,
    ),
  );
  for (let row = 0; row < rows; row += 1) {
    const cells = contents.map(({ title, lines }) => {
      const [text, style = (plain: string) => plain] = row === 0 ? title : (lines[row - 1] ?? ['']);
      return paint.faint('│') + style(fit(text, inner, 'center')) + paint.faint('│');
    });
    drawn.push(across(cells, row === 1 ? paint.accent(ARROW) : space));
  }
  drawn.push(
    across(
      contents.map(() => paint.faint(`╰${'─'.repeat(inner)}╯`)),
      space,
    ),
  );
  return drawn;
}

function stages(board: Board, width: number, paint: Paint): string[] {
  const { numbers } = board;
  const perSecond = (value: number, unit: string): Line => [`${count(value)} ${unit}`, paint.strong];
  const total = (value: number, unit: string): Line => [`${count(value)} ${unit}`.trim(), paint.faint];
  const wide = width >= STAGES * 18;
  const service: Line = {
    stopped: ['not started', paint.faint],
    starting: ['starting', paint.warn],
    running: perSecond(numbers.changes.perSecond, wide ? 'changes/s' : 'chg/s'),
    down: ['killed', paint.bad],
  }[numbers.service] as Line;
  const agent: Line =
    numbers.agentHealthy === null
      ? ['–', paint.faint]
      : numbers.agentHealthy
        ? ['capturing', paint.good]
        : ['not healthy', paint.bad];
  return boxes(
    [
      {
        title: ['Cassandra'],
        lines: [perSecond(numbers.writes.perSecond, wide ? 'writes/s' : 'wr/s'), total(numbers.writes.total, '')],
      },
      { title: ['agent'], lines: [agent, ['Debezium', paint.faint]] },
      {
        title: ['Kafka'],
        lines: [perSecond(numbers.records.perSecond, wide ? 'records/s' : 'rec/s'), total(numbers.records.total, '')],
      },
      { title: ['Lockstep'], lines: [service, total(numbers.changes.total, '')] },
      {
        title: ['PostgreSQL'],
        lines: [
          [numbers.rows === null ? '–' : count(numbers.rows), paint.strong],
          ['rows', paint.faint],
        ],
      },
    ],
    width,
    paint,
  );
}

function figures(board: Board, width: number, paint: Paint): string[] {
  const { numbers } = board;
  const cell = (name: string, value: string, style: (text: string) => string): { text: string; length: number } => ({
    text: `${paint.faint(name)} ${style(value)}`,
    length: name.length + 1 + value.length,
  });
  const rows = [
    [
      cell(
        'lag',
        numbers.lag === null ? '–' : `${count(numbers.lag)} records`,
        (numbers.lag ?? 0) > board.rate * 2 ? paint.warn : paint.strong,
      ),
      cell('staleness', secondsOf(numbers.stalenessMs), (numbers.stalenessMs ?? 0) > 3000 ? paint.warn : paint.strong),
      cell('p50', secondsOf(numbers.stalenessP50), paint.strong),
      cell('p99', secondsOf(numbers.stalenessP99), paint.strong),
    ],
    [
      cell('duplicates dropped', count(numbers.duplicates), paint.strong),
      cell('restarts', count(numbers.restarts), numbers.restarts > 0 ? paint.warn : paint.strong),
      cell('dead letters', count(numbers.deadLetters), numbers.deadLetters > 0 ? paint.warn : paint.strong),
    ],
  ];
  return rows.map((cells) => {
    const used = cells.reduce((sum, { length }) => sum + length, 0);
    const gap = ' '.repeat(Math.max(2, Math.min(8, Math.floor((width - used) / Math.max(1, cells.length - 1)))));
    return pad(cells.map(({ text }) => text).join(gap));
  });
}

function chart(board: Board, width: number, paint: Paint): string[] {
  const name = 'changes/s';
  const highest = Math.max(0, ...board.numbers.changes.history);
  const scale = ` ${count(highest)} peak`;
  const drawn = sparkline(board.numbers.changes.history, width - name.length - 2 - scale.length);
  return [pad(`${paint.faint(name)}  ${paint.accent(drawn)}${paint.faint(scale)}`)];
}

const SIGNS: Readonly<Record<BoardEvent['kind'], string>> = {
  kill: '✖',
  restart: '↻',
  redelivery: '⇄',
  poison: '☠',
  loss: '∅',
  found: '⌕',
  repair: '✚',
  note: '·',
};

function eventList(board: Board, most: number, width: number, paint: Paint): string[] {
  const style: Readonly<Record<BoardEvent['kind'], (text: string) => string>> = {
    kill: paint.bad,
    restart: paint.good,
    redelivery: paint.warn,
    poison: paint.warn,
    loss: paint.bad,
    found: paint.warn,
    repair: paint.good,
    note: paint.faint,
  };
  return board.events
    .slice(-most)
    .map((event) =>
      pad(
        `${paint.faint(clock(event.atMs))}  ${style[event.kind](SIGNS[event.kind])} ${fit(event.text, width - 10).trimEnd()}`,
      ),
    );
}

function stepList(steps: readonly Step[], elapsedMs: number, paint: Paint): string[] {
  const width = Math.max(0, ...steps.map(({ name }) => name.length));
  return steps.map(({ name, state, detail, startedMs }) => {
    const sign = { running: paint.accent(spinner(elapsedMs)), done: paint.good('✔'), failed: paint.bad('✖') }[state];
    const shown = state === 'running' ? `${((elapsedMs - startedMs) / 1000).toFixed(0)} s` : detail;
    return pad(` ${sign} ${name.padEnd(width)}  ${paint.faint(shown)}`);
  });
}

/** The widest screen that fits and that the boxes fill evenly. */
function widthFor(columns: number): number {
  const available = Math.min(MAX_WIDTH, Math.max(MIN_WIDTH, columns - 2));
  const arrows = ARROW.length * (STAGES - 1);
  return Math.floor((available - arrows) / STAGES) * STAGES + arrows;
}

/** The size of a terminal. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** The whole screen for a terminal of that size. */
export function drawBoard(board: Board, { columns, rows }: TerminalSize, paint: Paint): string {
  const width = widthFor(columns);
  const lines = ['', ...heading(board, width, paint)];
  if (board.phase === 'stack' || board.phase === 'shop') {
    lines.push('', ...stepList(board.steps, board.elapsedMs, paint), '');
    return lines.join('\n');
  }
  lines.push(progressLine(board, width, paint), '', ...stages(board, width, paint), '');
  lines.push(...figures(board, width, paint), '', ...chart(board, width, paint), '');
  lines.push(...eventList(board, Math.max(1, Math.min(MAX_EVENTS, rows - OTHER_LINES)), width, paint));
  if (board.phase !== 'workload' && board.phase !== 'done') {
    lines.push('', pad(`${paint.accent(spinner(board.elapsedMs))} ${board.doing}`));
  }
  lines.push('');
  return lines.join('\n');
}
