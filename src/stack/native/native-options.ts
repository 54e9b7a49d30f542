/** What a native stack may have beyond the usual four parts: for tests that need real replicas and real faults. */
export interface NativeOptions {
  /** Cassandra nodes, each with an agent of its own. Default 1. A directory keeps the number it was made with. */
  readonly nodes?: 1 | 2;
  /**
   * Port of a proxy on 127.0.0.1 between clients and Kafka. Kafka gets one more listener that advertises this port, because
   * a client goes on to whatever address the broker names, past any proxy that the broker does not know of.
   */
  readonly kafkaProxyPort?: number;
}
