/** A container whose ports are published on the loopback interface only. */
import { GenericContainer, StartupCheckStrategy, type StartupStatus } from 'testcontainers';

/** testcontainers publishes on all interfaces; a database with a development configuration must not be. */
export class LoopbackContainer extends GenericContainer {
  /** Publishes one port of the container on 127.0.0.1. */
  publish(port: { readonly container: number; readonly host: number }): this {
    this.withExposedPorts(port);
    this.hostConfig.PortBindings = {
      ...(this.hostConfig.PortBindings as Record<string, unknown> | undefined),
      [`${port.container}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: String(port.host) }],
    };
    return this;
  }
}

/** Waits for nothing but the engine's word that the process runs; whether it serves is asked by our own probes. */
export class RunningStrategy extends StartupCheckStrategy {
  override async checkStartupState(
    client: Parameters<StartupCheckStrategy['checkStartupState']>[0],
    id: string,
  ): Promise<StartupStatus> {
    const { State } = await client.getContainer(id).inspect();
    if (State.Running) return 'SUCCESS';
    return State.Status === 'exited' || State.Status === 'dead' ? 'FAIL' : 'PENDING';
  }
}

/** Text of a container's log as the engine sends it: frames of a header (8 bytes, length in the last four) and text. */
export function textOfLog(log: Buffer): string {
  let text = '';
  for (let at = 0; at + 8 <= log.length;) {
    const length = log.readUInt32BE(at + 4);
    text += log.toString('utf8', at + 8, at + 8 + length);
    at += 8 + length;
  }
  return text;
}
