/** The endpoints of a stack whose parts all listen on this machine's loopback interface. */
import { LOCAL_DATA_CENTER, POSTGRES_DATABASE, POSTGRES_USER, TOPIC_PREFIX, type StackEndpoints } from './stack.ts';

/** The ports that clients use. */
export interface ClientPorts {
  readonly kafka: number;
  readonly cassandra: number;
  readonly postgres: number;
  readonly agent: number;
  /** Of the second Cassandra node, which is on {@link SECOND_NODE_ADDRESS} and the first one's port. */
  readonly agent2?: number | undefined;
  /** Listener that advertises a proxy. */
  readonly kafkaBehindProxy?: number | undefined;
}

/** The second node's loopback address; nodes of one cluster share their ports. */
export const SECOND_NODE_ADDRESS = '127.0.0.2';

/** Connection URL with credentials. */
export function loopbackPostgresUrl(port: number, password: string, database: string = POSTGRES_DATABASE): string {
  return `postgres://${POSTGRES_USER}:${password}@127.0.0.1:${port}/${database}`;
}

/** URL of the agent's health check. */
export function agentHealthUrl(port: number): string {
  return `http://127.0.0.1:${port}/health`;
}

/** Endpoints for those ports. */
export function loopbackEndpoints(ports: ClientPorts, postgresPassword: string): StackEndpoints {
  return {
    kafka: {
      brokers: [`127.0.0.1:${ports.kafka}`],
      behindProxy: ports.kafkaBehindProxy === undefined ? null : `127.0.0.1:${ports.kafkaBehindProxy}`,
    },
    cassandra: {
      contactPoints: [
        `127.0.0.1:${ports.cassandra}`,
        ...(ports.agent2 === undefined ? [] : [`${SECOND_NODE_ADDRESS}:${ports.cassandra}`]),
      ],
      localDataCenter: LOCAL_DATA_CENTER,
    },
    postgres: { url: loopbackPostgresUrl(ports.postgres, postgresPassword) },
    agent: { healthUrl: agentHealthUrl(ports.agent), topicPrefix: TOPIC_PREFIX },
    agentHealthUrls: [ports.agent, ...(ports.agent2 === undefined ? [] : [ports.agent2])].map(agentHealthUrl),
  };
}
