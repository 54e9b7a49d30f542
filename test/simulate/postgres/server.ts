/**
 * A PostgreSQL for the door, statement by statement: each is a step of the scheduler, waits for its locks, may be answered
 * with an error, and its connection may be cut before or after it. What was sent before a cut may still be carried out.
 */
import type pg from 'pg';
import type { BoundTable } from '../../../src/target/bound-table.ts';
import type { Scheduler } from '../scheduler.ts';
import { Locks, type LockRequest } from './locks.ts';
import { Storage, Transaction, type TargetRow } from './relations.ts';
import { done, prepare, type Prepared, type Result, type SentStatement } from './statements.ts';

/** What goes wrong with a statement. `state`: a SQLSTATE. */
export type StatementFault = { readonly kind: 'cut' } | { readonly kind: 'error'; readonly state: string } | null;

export interface ServerHooks {
  /** Asked before each statement. */
  readonly fault: () => StatementFault;
  /** A CHECK of the target. */
  readonly check: (row: TargetRow) => void;
  /** Told of every transaction that wrote, before its writes are installed and after. */
  readonly beforeCommit: (tx: Transaction) => void;
  readonly afterCommit: (tx: Transaction) => void;
  /** A statement that the simulation can't carry out. */
  readonly onBug: (error: Error) => void;
  /** Told of every statement and what became of it, for people; null where nobody listens. */
  readonly trace: ((line: string) => void) | null;
}

export function postgresError(state: string): Error {
  return Object.assign(new Error(`simulated ${state}`), { code: state });
}

function connectionLost(): Error {
  return new Error('Connection terminated unexpectedly');
}

export class SimulatedPostgres {
  readonly storage = new Storage();
  readonly locks = new Locks();
  readonly scheduler: Scheduler;
  readonly table: BoundTable;
  readonly hooks: ServerHooks;
  readonly #connections = new Set<Connection>();
  #named = 0;
  #asked = 0;
  isDown = false;
  /** Another after every failover. */
  startedAt = 1;

  constructor(scheduler: Scheduler, table: BoundTable, hooks: ServerHooks) {
    this.scheduler = scheduler;
    this.table = table;
    this.hooks = hooks;
  }

  /** Rises with every question, as microseconds do. */
  now(): number {
    this.#asked += 1;
    return this.scheduler.nowMs / 1000 + this.#asked * 1e-6;
  }

  /** A pool of one process. */
  pool(): SimulatedPool {
    return new SimulatedPool(this);
  }

  connect(): Connection {
    this.#named += 1;
    const connection = new Connection(this, this.#named);
    this.#connections.add(connection);
    return connection;
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Every connection is lost, and with them the newest commits: failover, or restore from a backup. */
  lose(commits: number): void {
    for (const connection of this.#connections) connection.terminate();
    this.storage.lose(commits);
    this.startedAt += 1;
  }

  finish(tx: Transaction, commit: boolean): void {
    if (commit && tx.overlay.size > 0) {
      this.hooks.beforeCommit(tx);
      this.storage.install(tx.overlay);
      this.hooks.afterCommit(tx);
    }
    this.locks.release(tx);
  }
}

function shownStatement({ name, text, values }: SentStatement): string {
  const parameters = values.map((value) => (Buffer.isBuffer(value) ? 'bytes' : String(value))).join(' | ');
  return `${name ?? text.replace(/\s+/g, ' ').slice(0, 100)} (${parameters})`;
}

interface Sent {
  readonly statement: SentStatement;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

class Connection {
  readonly #server: SimulatedPostgres;
  readonly #name: number;
  readonly #sent: Sent[] = [];
  #tx: Transaction | null = null;
  #isServing = false;
  /** The client's end. */
  #isCut = false;
  /** The server's end. */
  #isOver = false;

  constructor(server: SimulatedPostgres, name: number) {
    this.#server = server;
    this.#name = name;
  }

  #trace(what: () => string): void {
    this.#server.hooks.trace?.(`connection ${this.#name}: ${what()}`);
  }

  query(statement: SentStatement): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#isCut) {
        reject(connectionLost());
        return;
      }
      this.#sent.push({ statement, resolve, reject });
      this.#serve();
    });
  }

  /** The client goes; some of what it has sent may still be carried out, and only then is its transaction rolled back. */
  cut(isHeard: boolean): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#trace(() => 'cut');
    const stillServed = this.#sent.slice(0, this.#server.scheduler.random.below(this.#sent.length + 1));
    for (const { reject } of this.#sent) if (isHeard) reject(connectionLost());
    this.#sent.length = 0;
    const unheard = { resolve: () => undefined, reject: () => undefined };
    this.#sent.push(...stillServed.map(({ statement }) => ({ statement, ...unheard })));
    if (!this.#isServing) this.#next();
  }

  /** The server goes, and everything uncommitted with it. */
  terminate(): void {
    this.#isCut = true;
    for (const { reject } of this.#sent) reject(postgresError('57P01'));
    this.#sent.length = 0;
    this.#end();
  }

  /** The client says goodbye, with nothing under way. */
  close(): void {
    if (this.#tx === null && this.#sent.length === 0) {
      this.#isCut = true;
      this.#end();
    } else this.cut(true);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#tx !== null) this.#server.finish(this.#tx, false);
    this.#tx = null;
    this.#server.closed(this);
  }

  #next(): void {
    this.#isServing = false;
    this.#serve();
  }

  #serve(): void {
    if (this.#isServing || this.#isOver) return;
    if (this.#sent.length === 0 && !this.#isCut) return;
    this.#isServing = true;
    this.#server.scheduler.step(() => {
      if (this.#isOver) return;
      const sent = this.#sent[0];
      if (sent === undefined) this.#end();
      else this.#begin(sent);
    });
  }

  #begin(sent: Sent): void {
    const { statement } = sent;
    const fault = this.#isCut ? null : this.#server.hooks.fault();
    if (fault?.kind === 'cut') {
      this.#isServing = false;
      this.cut(true);
      return;
    }
    // A session that is there can begin a transaction.
    if (fault?.kind === 'error' && statement.text !== 'BEGIN') {
      this.#fail(sent, postgresError(fault.state));
      return;
    }
    const { text } = statement;
    if (text === 'BEGIN') {
      this.#tx = new Transaction(this.#server.storage);
      this.#answer(sent, done('BEGIN', 0));
    } else if (text === 'COMMIT' || text === 'ROLLBACK') {
      const tx = this.#tx;
      this.#tx = null;
      const commits = text === 'COMMIT' && tx?.aborted === false;
      if (tx !== null) this.#server.finish(tx, commits);
      this.#answer(sent, done(commits ? 'COMMIT' : 'ROLLBACK', 0));
    } else if (this.#tx?.aborted === true) {
      this.#fail(sent, postgresError('25P02'));
    } else if (text.startsWith('SET LOCAL lock_timeout = ')) {
      const value = text.slice('SET LOCAL lock_timeout = '.length);
      if (this.#tx !== null) this.#tx.lockTimeoutMs = value === 'DEFAULT' ? null : Number(value);
      this.#answer(sent, done('SET', 0));
    } else if (text === 'SET CONSTRAINTS ALL IMMEDIATE') {
      this.#answer(sent, done('SET', 0));
    } else {
      this.#execute(sent);
    }
  }

  #execute(sent: Sent): void {
    const implicit = this.#tx === null;
    const tx = this.#tx ?? new Transaction(this.#server.storage);
    const finish = (run: () => Result): void => {
      if (this.#isOver) return;
      try {
        const result = run();
        if (implicit) this.#server.finish(tx, true);
        this.#answer(sent, result);
      } catch (error) {
        if (implicit) this.#server.finish(tx, false);
        this.#fail(sent, error as Error);
      }
    };
    let prepared: Prepared;
    try {
      prepared = prepare(tx, sent.statement, {
        table: this.#server.table,
        check: this.#server.hooks.check,
        startedAt: this.#server.startedAt,
        now: () => this.#server.now(),
      });
    } catch (error) {
      this.#server.hooks.onBug(error as Error);
      return;
    }
    if (implicit) this.#tx = tx;
    const release = (): void => {
      if (implicit) this.#tx = null;
    };
    this.#lock(
      tx,
      prepared.locks,
      () => {
        release();
        finish(prepared.run);
      },
      (error) => {
        release();
        finish(() => {
          throw error;
        });
      },
    );
  }

  /** Takes the locks one after the other; each that has to be waited for makes a step of its own. */
  #lock(tx: Transaction, requests: readonly LockRequest[], then: () => void, fail: (error: Error) => void): void {
    const { locks, scheduler } = this.#server;
    for (const [i, request] of requests.entries()) {
      let isWaiting = true;
      const granted = (): void => {
        isWaiting = false;
        scheduler.step(() => {
          if (!this.#isOver) this.#lock(tx, requests.slice(i + 1), then, fail);
        });
      };
      if (locks.acquire(tx, request, granted)) continue;
      const giveUp = (state: string): void => {
        if (!isWaiting || this.#isOver) return;
        isWaiting = false;
        locks.cancel(tx);
        fail(postgresError(state));
      };
      if (locks.isDeadlocked(tx)) giveUp('40P01');
      else if (tx.lockTimeoutMs !== null)
        scheduler.after(
          tx.lockTimeoutMs,
          () => giveUp('55P03'),
          () => isWaiting,
        );
      return;
    }
    then();
  }

  #answer(sent: Sent, result: Result): void {
    this.#trace(() => `${shownStatement(sent.statement)} → ${result.command} ${JSON.stringify(result.rows)}`);
    this.#sent.shift();
    sent.resolve(result);
    this.#next();
  }

  #fail(sent: Sent, error: Error): void {
    this.#trace(() => `${shownStatement(sent.statement)} → ${error.message}`);
    if (this.#tx !== null) this.#tx.aborted = true;
    this.#sent.shift();
    sent.reject(error);
    this.#next();
  }
}

interface Query {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

function sentOf(query: string | Query): SentStatement {
  if (typeof query === 'string') return { text: query, values: [] };
  return { ...(query.name === undefined ? {} : { name: query.name }), text: query.text, values: query.values ?? [] };
}

/** `pg.Pool` as far as the service uses it. */
export class SimulatedPool {
  readonly #server: SimulatedPostgres;
  readonly #connections = new Set<Connection>();
  #isDead = false;

  constructor(server: SimulatedPostgres) {
    this.#server = server;
  }

  get asPool(): pg.Pool {
    return this as unknown as pg.Pool;
  }

  connect(): Promise<unknown> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.scheduler.step(() => {
        if (this.#isDead) return;
        if (server.isDown) {
          reject(postgresError('ECONNREFUSED'));
          return;
        }
        const connection = server.connect();
        this.#connections.add(connection);
        resolve({
          query: (query: string | Query) => connection.query(sentOf(query)),
          release: () => {
            this.#connections.delete(connection);
            connection.close();
          },
        });
      });
    });
  }

  async query(query: string | Query): Promise<Result> {
    const client = (await this.connect()) as { query: (query: string | Query) => Promise<Result>; release: () => void };
    try {
      return await client.query(query);
    } finally {
      client.release();
    }
  }

  /** The process is gone: nobody hears the answers, and what was sent may be carried out. */
  crash(): void {
    this.#isDead = true;
    for (const connection of this.#connections) connection.cut(false);
    this.#connections.clear();
  }
}
