/** What a member says of itself at a moment, everywhere it says something. */
import { expect } from 'vitest';
import { alertsFor } from './alerts.ts';
import { eventually, type Member, type ServiceStage } from './service-stage.ts';

export interface Told {
  readonly status: 'ready' | 'not_ready';
  readonly reasons: string;
  readonly postgres: { readonly state: string; readonly reason: string | null };
  /** Of the first table of the configuration. */
  readonly table: { readonly stopped_shards: number; readonly breakers: readonly { readonly state: string }[] };
  readonly metrics: string;
}

/** For the configuration of a member that is asked. */
export const READER = { name: 'reader', token: 'reader-token-0123456789abcdef', scopes: ['read'] };

export async function toldBy(stage: ServiceStage, member: Member): Promise<Told> {
  const { status, reasons } = await member.ready();
  const { body } = await stage.http(member, READER.name, '/status');
  const { dependencies, tables } = body as {
    dependencies: { postgres: Told['postgres'] };
    tables: readonly [Told['table']];
  };
  const metrics = await (await fetch(`http://127.0.0.1:${member.apiPort}/metrics`)).text();
  return { status, reasons: reasons.join('; '), postgres: dependencies.postgres, table: tables[0], metrics };
}

/** The alerts that would fire if it stayed like this; nothing is said where there is no promtool. */
export function expectAlerts({ metrics }: Told, ...names: readonly string[]): void {
  const firing = alertsFor(metrics);
  if (firing !== null) expect(firing).toEqual(names);
}

/** Waits until it is well, and compares everything that it says then. */
export async function whenWell(stage: ServiceStage, member: Member): Promise<Told> {
  const told = await eventually('everything to be well', async () => {
    const now = await toldBy(stage, member);
    return now.status === 'ready' && now.postgres.state === 'up' ? now : undefined;
  });
  expect(told.table).toMatchObject({ stopped_shards: 0, breakers: [{ state: 'closed' }] });
  expect(told.metrics).toContain('cdc_dependency_up{dependency="postgres"} 1');
  return told;
}
