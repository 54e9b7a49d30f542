#!/usr/bin/env node
import { EXIT } from './cli/exit-code.ts';
import { errorText } from './cli/print-error.ts';
import { runCli } from './cli/run-cli.ts';

/** Time for output to drain and connections to end by themselves. */
const EXIT_GRACE_MS = 500;

// What nobody caught is a bug: say so and stop, rather than go on in an unknown state.
process.on('uncaughtException', (error) => {
  process.stderr.write(`${errorText(error)}\n`);
  process.exit(EXIT.bug);
});

// kafkajs can leave a rejection behind when its own disconnect fails after a crash that it has reported already; the
// consumer's back-off deals with the crash. Any other forgotten rejection is a bug like an exception that nobody caught.
process.on('unhandledRejection', (reason) => {
  if (!(reason instanceof Error) || !reason.name.startsWith('KafkaJS')) throw reason;
  process.stderr.write(`${errorText(reason)}\n`);
});

// kafkajs sets timers in the past on purpose ("at once"), which Node 24 remarks on each time: noise to an operator.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (warning.name !== 'TimeoutNegativeWarning') process.stderr.write(`${warning.name}: ${warning.message}\n`);
});

process.exitCode = await runCli(process.argv.slice(2));
// Everything is said and done. A client that still waits for a system that is gone must not hold the process.
setTimeout(() => process.exit(), EXIT_GRACE_MS).unref();
