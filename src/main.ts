#!/usr/bin/env node
import { EXIT } from './cli/exit-code.ts';
import { errorText } from './cli/print-error.ts';
import { runCli } from './cli/run-cli.ts';

// What nobody caught is a bug: say so and stop, rather than go on in an unknown state.
process.on('uncaughtException', (error) => {
  process.stderr.write(`${errorText(error)}\n`);
  process.exit(EXIT.bug);
});

process.exitCode = await runCli(process.argv.slice(2));
