import { Command } from 'commander';
import { DEFAULT_CONFIGURATION_FILE, loadConfiguration } from '../../config/index.ts';
import { boundHeapGrowth } from '../../operate/service/heap-growth.ts';
import { createLogger } from '../../operate/telemetry/logger.ts';
import { EXIT } from '../exit-code.ts';

/** Signals that ask for a clean stop. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/** Exit code of a process that a second signal stopped on the spot, as shells count it (128 + SIGTERM). */
const FORCED_EXIT = 143;

/** `lockstep run`: the service. The first SIGTERM or SIGINT drains and exits 0, a second one stops at once. */
export function runCommand(): Command {
  return new Command('run')
    .description('runs the service: consumer group, health, metrics, API')
    .option('-c, --config <file>', `configuration file (default ${DEFAULT_CONFIGURATION_FILE})`)
    .action(async (options: { config?: string }) => {
      const configuration = loadConfiguration({ path: options.config, env: process.env });
      boundHeapGrowth();
      const { runService } = await import('../../operate/service/run-service.ts');
      const logger = createLogger({ level: configuration.log.level });
      const controller = new AbortController();
      const onSignal = (signal: NodeJS.Signals) => {
        if (controller.signal.aborted) {
          logger.warn({ signal }, 'second signal: stopping at once');
          process.exit(FORCED_EXIT);
        }
        logger.info({ signal }, 'stopping: finishing what is in flight');
        controller.abort();
      };
      for (const signal of STOP_SIGNALS) process.on(signal, onSignal);
      try {
        await runService(configuration, { logger, signal: controller.signal });
      } finally {
        for (const signal of STOP_SIGNALS) process.off(signal, onSignal);
      }
      process.exitCode = EXIT.done;
    });
}
