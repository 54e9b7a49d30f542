import { setTimeout as delay } from 'node:timers/promises';
import { staticTable } from '../../catalog/static-table.ts';
import type { ShardId } from '../../target/batch.ts';
import { owedPauseMs } from '../../target/gate-share.ts';
import { PURGE_START, type PurgeCursor } from '../../target/index.ts';
import { UPKEEP_BACKOFF } from './backoff.ts';
import { repeating } from './repeating.ts';
import type { Service } from '../service/service.ts';
import { ownShards, type Report, type RunningParts } from '../service/running-parts.ts';

/**
 * How often this member asks which of its shards owe an expiry: one statement for all of them. With the work itself a
 * value is gone from the target at most 2 s after it is gone from the source.
 */
const SWEEP_EVERY_MS = 500;
/** Shards swept beside one another; the stream has the other connections. */
const SWEEPS_AT_ONCE = 3;
const SWEEP_TIMEOUT_MS = 60_000;
/** Ledger partitions are made days ahead: an hour is often enough to notice midnight. */
const PARTITIONS_EVERY_MS = 3_600_000;
const CLEAR_EVERY_MS = 5_000;
const GROWTH_EVERY_MS = 10_000;
const GROWTH_TIMEOUT_MS = 30_000;
/** A whole walk over the tombstones and graves; memory is kept for days, so an hour more is nothing. */
const PURGE_EVERY_MS = 3_600_000;
/** A walk over hundreds of millions of graves takes this long with its pauses; it begins anew afterwards. */
const PURGE_TIMEOUT_MS = 6 * PURGE_EVERY_MS;
/** Between two pages in which nothing was purged. */
const PAGE_PAUSE_MS = 20;

/** Takes expired values out of sight, shards beside one another, until nothing is due. */
export function sweepExpired(parts: RunningParts, report: Report): Service {
  const { target } = parts.prepared;
  const sweep = async () => {
    const due = [...(await target.dueShards(ownShards(parts)))] as (ShardId & { readonly table: string })[];
    const worker = async () => {
      for (let shard = due.pop(); shard !== undefined; shard = due.pop()) {
        // One chunk a turn: a shard with much to do takes its turn after the others.
        if (await target.sweep(shard.table, shard)) due.unshift(shard);
      }
    };
    await Promise.all(Array.from({ length: Math.min(SWEEPS_AT_ONCE, due.length) }, worker));
  };
  return repeating('sweep-expired', {
    everyMs: SWEEP_EVERY_MS,
    timeoutMs: SWEEP_TIMEOUT_MS,
    work: sweep,
    backoff: UPKEEP_BACKOFF,
    onError: report('sweeping expired values'),
  });
}

/** Ledger partitions ahead of time, and those behind the retention gone. */
export function keepLedger({ prepared, configuration }: RunningParts, report: Report): Service {
  return repeating('ledger-partitions', {
    everyMs: PARTITIONS_EVERY_MS,
    timeoutMs: SWEEP_TIMEOUT_MS,
    work: () => prepared.target.upkeep({ ledgerMs: configuration.retention.ledger }),
    backoff: UPKEEP_BACKOFF,
    onError: report('keeping the ledger’s partitions'),
  });
}

/** Purges memory behind the horizon: of each table by whoever owns its first shard, a page at a time, with pauses. */
export function purgeMemory(parts: RunningParts, report: Report): Service {
  const { prepared, configuration, logger } = parts;
  const walk = async (table: string) => {
    let purged = 0;
    let cursor: PurgeCursor | null = PURGE_START;
    while (cursor !== null) {
      const step = await prepared.target.purge(table, cursor, configuration.retention.horizon);
      purged += step.purged;
      cursor = step.next;
      if (cursor !== null) await delay(Math.max(PAGE_PAUSE_MS, owedPauseMs(step.heldMs)));
    }
    if (purged > 0) logger.info({ table, purged }, 'purged tombstones behind the horizon');
  };
  return repeating('purge-memory', {
    everyMs: PURGE_EVERY_MS,
    timeoutMs: PURGE_TIMEOUT_MS,
    work: async () => {
      for (const { table, partition } of ownShards(parts)) {
        if (partition !== 0) continue;
        await walk(table);
        const bound = prepared.tables.find(({ name }) => name === table);
        const statics = bound === undefined ? null : staticTable(bound);
        if (statics !== null) await walk(statics.name);
      }
    },
    backoff: UPKEEP_BACKOFF,
    onError: report('purging tombstones'),
  });
}

/** Clears what dropped columns left behind where one of the same name was added since: a chunk at a time, with pauses. */
export function clearDropped({ prepared, logger }: RunningParts, report: Report): Service {
  return repeating('clear-dropped', {
    everyMs: CLEAR_EVERY_MS,
    timeoutMs: PURGE_TIMEOUT_MS,
    work: async () => {
      for (const { clearing, table } of prepared.target.tables) {
        if (clearing.length === 0) continue;
        for (let more = true; more;) {
          const startedMs = performance.now();
          more = await prepared.target.clearDropped(table.name);
          await delay(owedPauseMs(performance.now() - startedMs));
        }
        logger.info({ table: table.name }, 'old values of columns that were dropped and added again are cleared');
      }
    },
    backoff: UPKEEP_BACKOFF,
    onError: report('clearing dropped columns'),
  });
}

/** Leads topics that grew back to the shared gate, once no record can be under way in its old shard. */
export function followGrowth({ prepared, configuration, port, logger }: RunningParts, report: Report): Service {
  const { growth } = prepared.target.shards;
  const step = async (topic: string) => {
    const ends = async () => (await port.logRanges(topic)).map(({ end }) => end);
    const stage = await growth.step(topic, configuration.apply.producerMetadataAge, ends);
    if (stage === 'over') logger.info({ topic }, 'growth is over: writers share the table again');
    else if (stage !== 'none') logger.debug({ topic, stage }, 'topic is growing: writers take turns');
  };
  return repeating('follow-growth', {
    everyMs: GROWTH_EVERY_MS,
    timeoutMs: GROWTH_TIMEOUT_MS,
    work: async () => {
      for (const { topic } of prepared.tables) await step(topic);
    },
    backoff: UPKEEP_BACKOFF,
    onError: report('following the growth of topics'),
  });
}
