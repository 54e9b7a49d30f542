import { setTimeout as delay } from 'node:timers/promises';
import { LockstepError, messageOf } from '../../shared/errors.ts';
import type { ReadRows } from '../../target/index.ts';
import { UPKEEP_BACKOFF } from './backoff.ts';
import { repeating } from './repeating.ts';
import type { Service } from '../service/service.ts';
import { ownShards, type OwnShard, type Report, type RunningParts } from '../service/running-parts.ts';

/** How often this member asks which of its shards owe a read: one statement for all of them. */
const REREAD_EVERY_MS = 200;
/** A turn that finds more to do goes on at once; after this long the shards are asked for anew. */
const REREAD_TIMEOUT_MS = 60_000;
/** One read of the source: up to 200 rows. */
const READ_TIMEOUT_MS = 15_000;
const DEPTH_EVERY_MS = 2_000;
const DEPTH_TIMEOUT_MS = 8_000;

/**
 * Works off the re-reads of this member's shards, some shards beside one another, at no more than the configured rate. A
 * source that is down delays only these: the entries stay in the queue, the stream goes on.
 */
export function serveRereads(parts: RunningParts, read: ReadRows, report: Report): Service {
  const { prepared, metrics, configuration, logger } = parts;
  const { rereads } = prepared.target;
  const { rowsPerSecond, concurrency } = configuration.rereads;
  const serve = async (shard: OwnShard): Promise<boolean> => {
    const { table } = shard;
    const startedMs = performance.now();
    const { rows, readMs, more } = await rereads.serve(table, shard, read, AbortSignal.timeout(READ_TIMEOUT_MS));
    if (rows > 0) {
      metrics.stream.rereads.inc({ table }, rows);
      metrics.stream.rereadSeconds.observe({ table }, readMs / 1000);
    }
    const paceMs = (rows * concurrency * 1000) / rowsPerSecond - (performance.now() - startedMs);
    if (paceMs > 0) await delay(paceMs);
    return more;
  };
  const work = async () => {
    const due = [...(await rereads.dueShards(ownShards(parts)))];
    let failed: unknown = null;
    const worker = async () => {
      for (let shard = due.pop(); shard !== undefined && failed === null; shard = due.pop()) {
        try {
          if (await serve(shard)) due.unshift(shard);
        } catch (error) {
          const isOfOneRow = error instanceof LockstepError && error.kind === 'row';
          if (!isOfOneRow) failed = error;
          // It was put off and delays no other row.
          else
            logger.warn(
              { table: shard.table, code: error.code, reason: messageOf(error) },
              'a row can not be read or kept: it is put off',
            );
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, due.length) }, worker));
    if (failed !== null) throw failed as Error;
  };
  return repeating('serve-rereads', {
    everyMs: REREAD_EVERY_MS,
    timeoutMs: REREAD_TIMEOUT_MS,
    work,
    backoff: UPKEEP_BACKOFF,
    onError: report('reading rows again from the source'),
  });
}

/** Counts what waits for the source: gauges, `/status`, and staleness, which is at least the age of the oldest. */
export function countRereads({ prepared, metrics, staleness, rereadBoard }: RunningParts, report: Report): Service {
  return repeating('count-rereads', {
    everyMs: DEPTH_EVERY_MS,
    timeoutMs: DEPTH_TIMEOUT_MS,
    work: async () => {
      const depths = new Map((await prepared.target.rereads.depths()).map((depth) => [depth.table, depth]));
      rereadBoard.set(depths);
      for (const { name } of prepared.tables) {
        metrics.stream.rereadsQueued.set({ table: name }, depths.get(name)?.rows ?? 0);
        staleness.rereads(name, depths.get(name)?.oldestMs ?? null);
      }
    },
    backoff: UPKEEP_BACKOFF,
    onError: report('counting queued re-reads'),
  });
}
