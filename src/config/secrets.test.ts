import { describe, expect, it } from 'vitest';
import { ConfigurationError } from './configuration-error.ts';
import { parseConfiguration } from './load.ts';
import { configurationNode } from './schema.ts';
import { maskSecrets, maskUrl } from './secrets.ts';

const SECRET = 'hunter2';

describe('secrets', () => {
  it('are masked in a printed configuration, wherever they stand', () => {
    const configuration = parseConfiguration(
      `
kafka: { sasl: { mechanism: plain, username: u, password: ${SECRET} } }
schemaRegistry: { url: null, username: u, password: ${SECRET} }
source: { cassandra: { username: u, password: ${SECRET} } }
target: { postgres: { url: "postgres://me:${SECRET}@db/shop?sslpassword=${SECRET}" } }
tables: [{ source: shop.orders, topic: t, target: public.orders }]
api: { tokens: [{ name: ops, token: ${SECRET} }] }`,
      'f.yaml',
      {},
    );
    const shown = JSON.stringify(maskSecrets(configuration, configurationNode));
    expect(shown).not.toContain(SECRET);
    expect(shown).toContain('postgres://me:***@db/shop?sslpassword=***');
  });

  // Errors are printed when things are wrong, so what is wrong must not be what unmasks.
  it.each([
    `kafka: { sasl: { mechanism: plain, username: u, passwrd: ${SECRET} } }`,
    `kafka: { sasl: { mechanism: nope, username: u, password: [${SECRET}] } }`,
    `kafka: { sasl: "plain:u:${SECRET}" }`,
    `target: { postgres: { url: "postgres://me:${SECRET}@a b/x" } }`,
    `target: { postgres: { url: "postgres://me:p@ss${SECRET}@a b/x" } }`,
    `target: { postgres: { password: ${SECRET} } }`,
    `api: { tokens: [${SECRET}] }`,
    `api: { tokens: ${SECRET} }`,
    `api: { tokens: [{ name: a, token: ${SECRET} }, { name: b, token: ${SECRET} }] }`,
    `api: { tokens: [{ token: ${SECRET}, scopes: [nope] }] }`,
    `dbPassword: ${SECRET}`,
    `api: { token: "${SECRET}`,
    `api: { tokens: [ ${SECRET}`,
  ])('do not show in the errors of %s', (line) => {
    let message = '';
    try {
      parseConfiguration(`tables: []\n${line}`, 'f.yaml', {});
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError);
      message = JSON.stringify([(error as ConfigurationError).message, (error as ConfigurationError).problems]);
    }
    expect(message).not.toBe('');
    expect(message).not.toContain(SECRET);
  });

  it('are masked in URLs that are no URLs', () => {
    expect(maskUrl('connect to postgres://u:p@ss:w/rd@host:5432/db failed')).toBe(
      'connect to postgres://u:***@host:5432/db failed',
    );
    expect(maskUrl('postgres://host/db')).toBe('postgres://host/db');
  });
});
