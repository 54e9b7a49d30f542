import type { Configuration } from '../../config/index.ts';
import { messageOf } from '../../shared/errors.ts';
import { fault, ok, skipped, type Check, type Finding } from './check.ts';

/** Longest answer of an agent that is read. */
const MAX_SHOWN = 200;

/** Fetches a health URL: status and body. */
export type FetchHealth = (url: string, signal: AbortSignal) => Promise<{ status: number; body: string }>;

/** The real thing. */
export const fetchHealth: FetchHealth = async (url, signal) => {
  const response = await fetch(url, { signal });
  return { status: response.status, body: (await response.text()).slice(0, MAX_SHOWN) };
};

async function agentFinding(url: string, fetchIt: FetchHealth, signal: AbortSignal): Promise<Finding> {
  try {
    const { status, body } = await fetchIt(url, signal);
    // Debezium's Cassandra agent answers a bare `true` or `false`, or a JSON object of booleans.
    if (status === 200 && !/\bfalse\b/.test(body)) {
      return ok('healthy by its own account, which does not rule out lost segments: reconciliation finds those', url);
    }
    return fault(
      `answers ${status} ${body}`,
      'Read the log of the agent, restart it, then reconcile the time it was away.',
      url,
    );
  } catch (error) {
    return fault(
      `can not be reached: ${messageOf(error)}`,
      'Start the capture agent on that node, or correct source.cassandra.agents.',
      url,
    );
  }
}

/** Capture agents: one per Cassandra node, each with a health URL. */
export function agentChecks(configuration: () => Configuration, fetchIt: FetchHealth = fetchHealth): readonly Check[] {
  return [
    {
      id: 'agent.health',
      needs: ['configuration'],
      async run(signal) {
        const agents = configuration().source.cassandra?.agents ?? [];
        if (agents.length === 0) {
          const remedy = 'Add source.cassandra.agents: [{ url: http://node:8000/health }], one for each node.';
          return [skipped('no agent is configured', remedy)];
        }
        return Promise.all(agents.map(({ url }) => agentFinding(url, fetchIt, signal)));
      },
    },
  ];
}
