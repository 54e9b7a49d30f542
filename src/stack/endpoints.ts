/** The endpoints of a stack whose parts all listen on this machine's loopback interface. */
import { LOCAL_DATA_CENTER, POSTGRES_DATABASE, POSTGRES_USER, TOPIC_PREFIX, type StackEndpoints } from './stack.ts';

/** The ports that clients use. */
export interface ClientPorts {
  readonly kafka: number;
  readonly cassandra: number;
  readonly postgres: number;
  readonly agent: number;
}

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
    kafka: { brokers: [`127.0.0.1:${ports.kafka}`] },
    cassandra: { contactPoints: [`127.0.0.1:${ports.cassandra}`], localDataCenter: LOCAL_DATA_CENTER },
    postgres: { url: loopbackPostgresUrl(ports.postgres, postgresPassword) },
    agent: { healthUrl: agentHealthUrl(ports.agent), topicPrefix: TOPIC_PREFIX },
  };
}
