import cassandra from 'cassandra-driver';
import { randomTimeUuid, randomUuid, weighted } from './random.ts';
import * as value from './values.ts';
import { insert, remove, removeRange, update, type Side, type Write } from './write.ts';
import { sometimesTimed, type TableWriter, type WriterContext } from './writer-context.ts';

const TABLE = 'sessions';

const USERS = 150;
const SESSIONS_PER_USER = 8;
const FIRST_SESSION_MS = Date.UTC(2026, 10, 1);

/** Gone well before the proof begins, so that both sides have forgotten them by then. */
const SHORT_TTLS = [2, 3, 4, 6, 8];
/** Alive long after it. */
const LONG_TTL_SECONDS = 86_400;

/** Sessions: rows that live for seconds, for a day, or for ever once a value without TTL was written into them. */
export function sessionsWriter(context: WriterContext): TableWriter {
  const { random } = context;
  const { types } = cassandra;
  const users = Array.from({ length: USERS }, () => ({
    id: types.Uuid.fromString(randomUuid(random)),
    sessions: Array.from({ length: SESSIONS_PER_USER }, () =>
      types.TimeUuid.fromString(randomTimeUuid(random, FIRST_SESSION_MS + random.below(86_400_000))),
    ),
  }));

  const key = () => {
    const user = random.pick(users);
    return { user_id: user.id, session_id: random.pick(user.sessions) };
  };

  const contents = () => ({
    ip: value.inet(random),
    agent: value.text(random),
    started_at: value.timestamp(random),
    hits: random.below(100),
    cart: value.intByText(random),
    secret: value.blob(random),
    score: value.float(random),
  });

  const rangeDelete = (): Write => {
    const { user_id, session_id } = key();
    const than = random.pick<Side['than']>(['<', '<=', '>', '>=']);
    return removeRange(TABLE, { user_id }, 'session_id', [{ than, value: session_id }]);
  };

  return () => {
    const kind = weighted(random, { short: 42, long: 20, touch: 12, keep: 10, remove: 9, range: 4, partition: 3 });
    switch (kind) {
      case 'short':
        return insert(TABLE, { ...key(), ...contents() }, { ttlSeconds: random.pick(SHORT_TTLS) });
      case 'long':
        return insert(TABLE, { ...key(), ...contents() }, { ttlSeconds: LONG_TTL_SECONDS, ...sometimesTimed(context) });
      case 'touch':
        return update(
          TABLE,
          key(),
          { hits: random.below(100), agent: value.text(random) },
          { ttlSeconds: random.pick(SHORT_TTLS) },
        );
      case 'keep':
        return update(
          TABLE,
          key(),
          { hits: random.below(100), started_at: value.timestamp(random) },
          sometimesTimed(context),
        );
      case 'remove':
        return remove(TABLE, key(), sometimesTimed(context));
      case 'range':
        return rangeDelete();
      case 'partition':
        return remove(TABLE, { user_id: random.pick(users).id });
    }
  };
}
