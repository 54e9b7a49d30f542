import { CommanderError } from 'commander';
import { EXIT, exitCodeOf, type ExitCode } from './exit-code.ts';
import { errorDocument, errorText } from './print-error.ts';
import { createProgram } from './program.ts';

/**
 * Runs one command line. Errors are printed here, once: to standard error for people, and as the one document on standard
 * output where `--json` was asked for and the command has printed none.
 */
export async function runCli(args: readonly string[]): Promise<ExitCode> {
  try {
    await createProgram().parseAsync(args, { from: 'user' });
    // Commands whose answer is "no" say so by setting the exit code.
    return process.exitCode === EXIT.no ? EXIT.no : EXIT.done;
  } catch (error) {
    const code = exitCodeOf(error);
    // commander has printed its own message; help and version are no errors.
    if (!(error instanceof CommanderError)) process.stderr.write(`${errorText(error)}\n`);
    if (code !== EXIT.done && args.includes('--json')) {
      process.stdout.write(`${JSON.stringify(errorDocument(error))}\n`);
    }
    return code;
  }
}
