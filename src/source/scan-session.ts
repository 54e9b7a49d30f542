import cassandra from 'cassandra-driver';
import type { PackedRows } from '../change/packed-rows.ts';
import { LockstepError, messageOf } from '../shared/errors.ts';
import { packedOf } from './raw-rows.ts';

/** A node that coordinates reads, as the session knows it. */
export type Coordinator = unknown;

export interface PageRequest {
  readonly query: string;
  readonly params: readonly Buffer[];
  readonly pageRows: number;
  readonly pageState: string | null;
  readonly coordinator: Coordinator;
}

export interface RawPage {
  readonly rows: PackedRows;
  /** Null behind the last page. */
  readonly pageState: string | null;
}

/**
 * What a scan asks of the source. Both reject with a LockstepError: `SOURCE_READ_FAILED` where a smaller page may
 * succeed, `SOURCE_TOMBSTONES` where a smaller part may, `SOURCE_UNREACHABLE` where waiting may help (all transient),
 * `SOURCE_QUERY` where nothing does: of the query, or of the paging state.
 */
export interface ScanSession {
  /** The clock of a node, ms since the epoch, and that node: pages are asked of it, so that its clock dates them. */
  clock(): Promise<{ readonly coordinator: Coordinator; readonly nowMs: bigint }>;
  page(request: PageRequest): Promise<RawPage>;
}

/** A page that takes longer is asked for again, smaller. Cassandra's own limit for a range read is 10 s. */
const PAGE_TIMEOUT_MS = 15_000;
const CLOCK = 'SELECT toUnixTimestamp(now()) AS clock FROM system.local';

const { responseErrorCodes: codes } = cassandra.types;
const READ_FAILURE: number = codes.readFailure;
const TOO_MUCH = new Set<number>([codes.readTimeout, codes.readFailure]);
const WAITING_HELPS = new Set<number>([codes.unavailableException, codes.overloaded, codes.isBootstrapping]);

/** `RequestFailureReason.READ_TOO_MANY_TOMBSTONES` of the native protocol. */
const REASON_TOMBSTONES = 1;

/** Replicas name their reasons from version 5 of the protocol on; before it nobody knows. */
function mayBeTombstones(error: Error): boolean {
  const { reasons } = error as { readonly reasons?: Readonly<Record<string, number>> };
  const named = Object.values(reasons ?? {});
  return named.length === 0 || named.includes(REASON_TOMBSTONES);
}

function innermost(error: unknown): unknown {
  if (!(error instanceof cassandra.errors.NoHostAvailableError)) return error;
  const inner = Object.values(error.innerErrors as Record<string, unknown>).filter((each) => each instanceof Error);
  return inner.length === 1 ? inner[0] : error;
}

/** The driver's error as one of ours, with what to do. */
export function scanError(thrown: unknown): LockstepError {
  const error = innermost(thrown);
  if (error instanceof LockstepError) return error;
  const message = `reading the source: ${messageOf(error)}`;
  if (error instanceof cassandra.errors.ResponseError && error.code === READ_FAILURE && mayBeTombstones(error)) {
    return new LockstepError(message, {
      code: 'SOURCE_TOMBSTONES',
      kind: 'transient',
      remedy:
        'the scan cuts what it reads into smaller parts; what can not be cut is named: compact the table there, or raise tombstone_failure_threshold',
      cause: thrown,
    });
  }
  const isTooMuch =
    error instanceof cassandra.errors.OperationTimedOutError ||
    (error instanceof cassandra.errors.ResponseError && TOO_MUCH.has(error.code));
  if (isTooMuch) {
    return new LockstepError(message, {
      code: 'SOURCE_READ_FAILED',
      kind: 'transient',
      remedy:
        'the page is asked for again, smaller; if that does not help: look for overload, or tombstones that compaction has not removed yet',
      cause: thrown,
    });
  }
  if (error instanceof cassandra.errors.ResponseError && !WAITING_HELPS.has(error.code)) {
    return new LockstepError(message, {
      code: 'SOURCE_QUERY',
      kind: 'config',
      remedy: 'the source refuses the query: its table was changed meanwhile, or the user lacks SELECT on it',
      cause: thrown,
    });
  }
  return new LockstepError(message, {
    code: 'SOURCE_UNREACHABLE',
    kind: 'transient',
    remedy: 'check that the nodes of source.cassandra run; the read is tried again',
    cause: thrown,
  });
}

/** A scan's session over a connected client. */
export function scanSession(client: cassandra.Client): ScanSession {
  return {
    async clock() {
      try {
        const answer = await client.execute(CLOCK, [], { prepare: true });
        const address = answer.info.queriedHost;
        const coordinator = client
          .getState()
          .getConnectedHosts()
          .find((host) => host.address === address);
        return { coordinator, nowMs: BigInt(String(answer.rows[0]?.get('clock'))) };
      } catch (error) {
        throw scanError(error);
      }
    },
    async page({ query, params, pageRows, pageState, coordinator }) {
      try {
        const answer = await client.execute(query, [...params], {
          prepare: true,
          fetchSize: pageRows,
          readTimeout: PAGE_TIMEOUT_MS,
          ...(coordinator === undefined ? {} : { host: coordinator as cassandra.Host }),
          ...(pageState === null ? {} : { pageState }),
        });
        return { rows: packedOf(answer), pageState: pageStateOf(answer) };
      } catch (error) {
        throw scanError(error);
      }
    },
  };
}

/** The driver's type hides that the last page has none. */
function pageStateOf(answer: cassandra.types.ResultSet): string | null {
  return (answer as { readonly pageState?: string | null }).pageState ?? null;
}
