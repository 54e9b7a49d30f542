/** PostgreSQL's locks, as far as the door needs them: queues first in, first out, two modes, deadlocks found at once. */
import type { Transaction } from './relations.ts';

export interface LockRequest {
  readonly name: string;
  readonly mode: 'shared' | 'exclusive';
}

interface Waiter extends LockRequest {
  readonly owner: Transaction;
  readonly granted: () => void;
}

interface Lock {
  readonly holders: Map<Transaction, 'shared' | 'exclusive'>;
  readonly waiters: Waiter[];
}

export class Locks {
  readonly #locks = new Map<string, Lock>();

  /** True where it is had at once; else `granted` is called when it is, and `deadlock` answers whether it ever can be. */
  acquire(owner: Transaction, request: LockRequest, granted: () => void): boolean {
    const lock = this.#lockOf(request.name);
    const held = lock.holders.get(owner);
    if (held === 'exclusive' || held === request.mode) return true;
    if (this.#grantable(lock, owner, request.mode, lock.waiters)) {
      this.#grant(lock, owner, request);
      return true;
    }
    lock.waiters.push({ ...request, owner, granted });
    return false;
  }

  /** Whether this transaction waits, through others, for itself. */
  isDeadlocked(owner: Transaction): boolean {
    const seen = new Set<Transaction>();
    const waitsFor = (waiting: Transaction): boolean => {
      for (const lock of this.#locks.values()) {
        const at = lock.waiters.findIndex((waiter) => waiter.owner === waiting);
        if (at < 0) continue;
        const before = [...lock.holders.keys(), ...lock.waiters.slice(0, at).map((waiter) => waiter.owner)];
        for (const other of before) {
          if (other === waiting) continue;
          if (other === owner) return true;
          if (seen.has(other)) continue;
          seen.add(other);
          if (waitsFor(other)) return true;
        }
      }
      return false;
    };
    return waitsFor(owner);
  }

  /** Gives up waiting. */
  cancel(owner: Transaction): void {
    for (const lock of this.#locks.values()) {
      const at = lock.waiters.findIndex((waiter) => waiter.owner === owner);
      if (at < 0) continue;
      lock.waiters.splice(at, 1);
      this.#wake(lock);
    }
  }

  /** The end of a transaction. */
  release(owner: Transaction): void {
    this.cancel(owner);
    for (const name of owner.locks) {
      const lock = this.#locks.get(name);
      if (lock === undefined) continue;
      lock.holders.delete(owner);
      this.#wake(lock);
      if (lock.holders.size === 0 && lock.waiters.length === 0) this.#locks.delete(name);
    }
    owner.locks.clear();
  }

  #lockOf(name: string): Lock {
    let lock = this.#locks.get(name);
    if (lock === undefined) {
      lock = { holders: new Map(), waiters: [] };
      this.#locks.set(name, lock);
    }
    return lock;
  }

  #grantable(lock: Lock, owner: Transaction, mode: LockRequest['mode'], before: readonly Waiter[]): boolean {
    // A shared request queues behind an exclusive one that waits.
    if (before.some((waiter) => waiter.mode === 'exclusive' || mode === 'exclusive')) return false;
    for (const [holder, held] of lock.holders) {
      if (holder !== owner && (held === 'exclusive' || mode === 'exclusive')) return false;
    }
    return true;
  }

  #grant(lock: Lock, owner: Transaction, { name, mode }: LockRequest): void {
    lock.holders.set(owner, mode);
    owner.locks.add(name);
  }

  #wake(lock: Lock): void {
    for (;;) {
      const waiter = lock.waiters[0];
      if (waiter === undefined || !this.#grantable(lock, waiter.owner, waiter.mode, [])) return;
      lock.waiters.shift();
      this.#grant(lock, waiter.owner, waiter);
      waiter.granted();
    }
  }
}
