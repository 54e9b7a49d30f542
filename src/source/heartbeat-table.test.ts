import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { murmur3Token } from '../change/token.ts';
import { heartbeatCql, keysOfRing, type Ring } from './heartbeat-table.ts';

/** A ring of one replica: a partition is held by the node whose token is the next one. */
function ringWith(
  tokens: readonly { readonly node: string; readonly token: bigint }[],
  nodes: readonly string[],
): Ring {
  const sorted = [...tokens].sort((a, b) => (a.token < b.token ? -1 : 1));
  return {
    nodes,
    replicas: (key) => {
      const token = murmur3Token(Buffer.from(key));
      const owner = sorted.find((each) => token <= each.token) ?? sorted[0];
      return owner === undefined ? [] : [owner.node];
    },
  };
}

describe('the keys of heartbeats', () => {
  it('fall into the range of the node that they are for, one for each, and stay while the ring does', () => {
    const token = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ node: fc.integer({ min: 0, max: 5 }), token }), {
          minLength: 1,
          maxLength: 24,
          selector: (each) => each.token,
        }),
        (drawn) => {
          const tokens = drawn.map((each) => ({ ...each, node: `10.0.0.${each.node}` }));
          const nodes = [...new Set(tokens.map(({ node }) => node))];
          const ring = ringWith(tokens, nodes);
          const keys = keysOfRing(ring);
          expect(keys.map(({ node }) => node)).toEqual(nodes);
          for (const { node, key } of keys) if (key !== null) expect(ring.replicas(key)).toEqual([node]);
          expect(keysOfRing(ring)).toEqual(keys);
        },
      ),
      // Ranges of a random ring may be too small to be hit; those of a real one are not.
      { numRuns: 20 },
    );
  });

  it('are found for every node of a ring as nodes divide it', () => {
    const tokens = Array.from({ length: 160 }, (_, i) => ({
      node: `10.0.0.${i % 10}`,
      token: BigInt.asIntN(64, BigInt(i) * 115_292_150_460_684_697n),
    }));
    const keys = keysOfRing(ringWith(tokens, [...new Set(tokens.map(({ node }) => node))]));
    expect(keys.every(({ key }) => key !== null)).toBe(true);
    expect(new Set(keys.map(({ key }) => key)).size).toBe(10);
  });

  it('are never those of a node that the capture is not asked of, and none where the keyspace is unknown', () => {
    const tokens = [
      { node: 'here', token: 0n },
      { node: 'elsewhere', token: 2n ** 62n },
    ];
    expect(keysOfRing(ringWith(tokens, ['here'])).map(({ node }) => node)).toEqual(['here']);
    expect(keysOfRing({ nodes: ['here'], replicas: () => null })).toEqual([{ node: 'here', key: null }]);
  });

  it('live in a keyspace of one replica in the captured data centre', () => {
    expect(heartbeatCql('lockstep.heartbeat', 'dc1')).toEqual([
      `CREATE KEYSPACE IF NOT EXISTS "lockstep" WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 1}`,
      `CREATE TABLE IF NOT EXISTS "lockstep"."heartbeat" (range_key text, node text, beat timestamp, PRIMARY KEY (range_key)) WITH cdc = true`,
    ]);
  });
});
