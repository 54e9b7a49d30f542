import type { Configuration } from '../../config/index.ts';
import { isNearlyFull, type KeepingSummary } from '../../deadletter/letter-keeping.ts';
import { counted, fault, ok, skipped, warn, type Check, type Finding } from './check.ts';

/** What the check asks: of the DLQ topic and of the index. Null where there is no topic or no index yet. */
export interface LetterProbe {
  keeping(signal: AbortSignal): Promise<KeepingSummary | null>;
  close(): Promise<void>;
}

function keepingFinding(keeping: KeepingSummary): Finding {
  const { topic, gone, leaving, open, retentionMs, firstLeavesMs } = keeping;
  if (gone.count > 0) {
    return fault(
      `${counted(gone.count, 'open letter')} lost their records (letter ${gone.ids[0] ?? '?'} and later)`,
      'lockstep dlq redrive looks for them in their source topic; compare the rows of those that answer BYTES_GONE with the source.',
      topic,
    );
  }
  if (leaving.count > 0) {
    const when = firstLeavesMs === null ? 'soon' : `from ${new Date(firstLeavesMs).toISOString()} on`;
    return warn(
      `${counted(leaving.count, 'open letter')} will leave the topic ${when} (letter ${leaving.ids[0] ?? '?'} and later)`,
      `Redrive them (lockstep dlq stats shows what they are), or raise retention.ms of ${topic}.`,
      topic,
    );
  }
  if (isNearlyFull(keeping)) {
    return warn(
      `its records fill about ${keeping.bytes} of ${keeping.retentionBytes ?? 0} bytes: letters leave before their time`,
      `Set retention.bytes=-1 on ${topic}, or redrive what is open.`,
      topic,
    );
  }
  const kept = retentionMs === null ? 'for ever' : `for ${Math.round(retentionMs / 86_400_000)} days`;
  return ok(`${counted(open, 'open letter')}, kept ${kept}`, topic);
}

/** Are the records of open dead letters still there, and for how long? */
export function letterChecks(configuration: () => Configuration, probe: () => LetterProbe): readonly Check[] {
  return [
    {
      id: 'dlq.letters',
      needs: ['kafka.reachable', 'postgres.reachable'],
      async run(signal) {
        const keeping = await probe().keeping(signal);
        if (keeping === null)
          return [skipped('no letter has been set aside yet', null, configuration().deadLetter.topic)];
        return [keepingFinding(keeping)];
      },
    },
  ];
}
