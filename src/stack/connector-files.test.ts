import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  agentDriverConfig,
  agentProperties,
  cassandraCaptureSettings,
  parseProperties,
  renderProperties,
} from './connector-files.ts';
import { packageFile } from './package-root.ts';

describe('the shipped agent configuration', () => {
  it('never takes a snapshot, which would end the agent on the first TTL', async () => {
    expect(parseProperties(await agentProperties({})).get('snapshot.mode')).toBe('NEVER');
  });

  it('keeps every digit', async () => {
    const properties = parseProperties(await agentProperties({}));
    expect(properties.get('decimal.handling.mode')).toBe('string');
    expect(properties.get('varint.handling.mode')).toBe('string');
  });

  it('writes JSON without schemas, uncompressed, which every client reads', async () => {
    const properties = parseProperties(await agentProperties({}));
    expect(properties.get('key.converter.schemas.enable')).toBe('false');
    expect(properties.get('value.converter.schemas.enable')).toBe('false');
    expect(properties.has('kafka.producer.compression.type')).toBe(false);
  });

  it('replaces what is of this node and refuses a key that is not there', async () => {
    expect(parseProperties(await agentProperties({ 'http.port': 8123 })).get('http.port')).toBe('8123');
    await expect(agentProperties({ 'http.prot': 1 })).rejects.toThrow('http.prot');
  });

  it('connects to the node it is given', async () => {
    expect(await agentDriverConfig('cassandra:9042')).toContain('basic.contact-points = ["cassandra:9042"]');
  });

  it('passes a schema change on at once', async () => {
    expect(await agentDriverConfig('127.0.0.1:9042')).toContain('schema.debouncer.window = 1 millisecond');
  });
});

describe('the shipped Cassandra settings', () => {
  it('turn capture on and keep repairs out of it', async () => {
    expect(await cassandraCaptureSettings()).toMatchObject({ cdc_enabled: true, cdc_on_repair_enabled: false });
  });

  it('are those of docker-compose.yml', async () => {
    const compose: unknown = parse(await readFile(packageFile('deploy', 'compose', 'cassandra.yaml'), 'utf8'));
    expect(compose).toMatchObject(await cassandraCaptureSettings());
  });
});

describe('docker-compose.yml', () => {
  const places = ['commit.log.relocation.dir', 'offset.backing.store.dir', 'kafka.producer.bootstrap.servers'];

  it('runs the agent with the shipped configuration but for its places', async () => {
    const shipped = parseProperties(await agentProperties({}));
    const compose = parseProperties(await readFile(packageFile('deploy', 'compose', 'agent.properties'), 'utf8'));
    for (const key of places) {
      expect(compose.has(key)).toBe(true);
      shipped.delete(key);
      compose.delete(key);
    }
    expect(compose).toEqual(shipped);
  });

  it('publishes on the loopback interface only', async () => {
    const { services } = parse(await readFile(packageFile('docker-compose.yml'), 'utf8')) as {
      services: Record<string, { ports?: string[] }>;
    };
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBeGreaterThan(0);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });
});

describe('properties', () => {
  it('survive being written and read', () => {
    const properties = new Map([
      ['a.b', 'x=y'],
      ['c', ''],
    ]);
    expect(parseProperties(renderProperties(properties))).toEqual(properties);
  });

  it('escape backslashes, which Java would swallow', () => {
    expect(renderProperties([['dir', 'a\\b']])).toBe('dir=a\\\\b\n');
  });
});
