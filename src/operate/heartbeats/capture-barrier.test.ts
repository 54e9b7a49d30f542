import { describe, expect, it } from 'vitest';
import { captureBarrier, type HeartbeatParts } from './capture-barrier.ts';

const signal = new AbortController().signal;

/** Nodes whose agents deliver what was written after some looks, or never. */
function cluster(
  nodes: Readonly<Record<string, { readonly looks?: number; readonly refuses?: string; readonly keyless?: true }>>,
  clockMs = 1_000,
): HeartbeatParts & { readonly written: readonly string[] } {
  const written: string[] = [];
  let looks = 0;
  return {
    written,
    clock: { nowMs: () => clockMs },
    nodes: () => Object.entries(nodes).map(([node, { keyless }]) => ({ node, key: keyless === true ? null : node })),
    write: ({ node }) => {
      const refuses = nodes[node]?.refuses;
      if (refuses !== undefined) return Promise.reject(new Error(`the heartbeat of ${node}: ${refuses}`));
      written.push(node);
      return Promise.resolve({ node, id: `id-${node}` });
    },
    arrived: (ids) => {
      looks += 1;
      return Promise.resolve(
        new Set(ids.filter((id) => (nodes[id.slice(3)]?.looks ?? Number.POSITIVE_INFINITY) <= looks)),
      );
    },
  };
}

describe('the barrier of the capture', () => {
  it('closes when these very heartbeats have come through every node, whatever the clock says', async () => {
    for (const clockMs of [0, Date.now() - 300_000, Date.now() + 300_000]) {
      const parts = cluster({ a: { looks: 1 }, b: { looks: 3 } }, clockMs);
      expect(await captureBarrier(parts, 5_000, signal)).toBeNull();
      expect(parts.written).toEqual(['a', 'b']);
    }
  });

  it('names the nodes whose agents stand still', async () => {
    const reason = await captureBarrier(cluster({ a: { looks: 1 }, b: {}, c: {} }), 250, signal);
    expect(reason).toBe('no heartbeat has come through the capture of b, c since 1970-01-01T00:00:01.000Z');
  });

  it('names a node that takes no heartbeat, and still hears the others', async () => {
    const reason = await captureBarrier(cluster({ a: { looks: 2 }, b: { refuses: 'down' } }), 2_000, signal);
    expect(reason).toBe('the heartbeat of b: down');
  });

  it('is never closed for a node without a key, nor where no node is known', async () => {
    expect(await captureBarrier(cluster({ a: { looks: 1 }, b: { keyless: true } }), 500, signal)).toContain('b');
    expect(await captureBarrier(cluster({}), 500, signal)).toBe('no node of the source is known');
  });

  it('ends with the signal', async () => {
    const stop = new AbortController();
    const waiting = captureBarrier(cluster({ a: {} }), 60_000, stop.signal);
    stop.abort();
    await expect(waiting).rejects.toThrow();
  });
});
