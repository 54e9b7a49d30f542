/** Consistencies of which a read meets every write of a quorum. */
export const QUORUMS: ReadonlySet<string> = new Set(['QUORUM', 'LOCAL_QUORUM', 'EACH_QUORUM', 'ALL']);
