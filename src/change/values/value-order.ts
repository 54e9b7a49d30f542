/**
 * Order and equality as the source has them (DESIGN §5): the tie rule's serialised bytes, and the comparators of
 * clustering columns with their order-preserving bytes. One door to the files that hold the rules.
 */
export { canonicalClustering } from './value-canonical.ts';
export { compareClustering, supportsClustering } from './value-clustering.ts';
export { keyBytes, keyBytesKnown } from './value-key-bytes.ts';
export { orderBytes } from './value-order-bytes.ts';
export { bytesKnown, compareSerialised, serialise } from './value-serialised.ts';
