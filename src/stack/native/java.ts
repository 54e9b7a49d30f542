/** Finds a Java that can run Cassandra 5.0, or says what to install. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../../shared/errors.ts';
import { StackError } from '../stack-error.ts';

const run = promisify(execFile);

/** Oldest release that Cassandra 5.0 and Kafka 4.1 both run on with the options in `connectors/native`. */
const OLDEST_JAVA = 17;

/** First release without a security manager, which Cassandra 5.0 installs while it starts. */
const FIRST_UNUSABLE_JAVA = 24;

const REMEDY =
  `Install a Java ${OLDEST_JAVA} runtime (Debian and Ubuntu: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) ` +
  'and put it first on PATH or point JAVA_HOME at it; or start a Docker engine and use --provider docker.';

/** A usable Java. */
export interface Java {
  readonly command: string;
  readonly major: number;
}

/** Major release in what `java -version` prints, e.g. 17 of `openjdk version "17.0.15" 2025-04-15`; 8 of `1.8.0_402`. */
export function parseJavaMajor(output: string): number | undefined {
  const found = /version "(\d+)(?:\.(\d+))?/.exec(output);
  if (!found) return undefined;
  const first = Number(found[1]);
  return first === 1 && found[2] !== undefined ? Number(found[2]) : first;
}

/** The Java to use. Throws `STACK_NO_JAVA` with the remedy. */
export async function findJava(environment: NodeJS.ProcessEnv = process.env): Promise<Java> {
  const home = environment['JAVA_HOME'];
  const command = home ? join(home, 'bin', 'java') : 'java';
  const where = home ? `JAVA_HOME is ${home}` : 'PATH has no working "java"';
  let output: string;
  try {
    const { stdout, stderr } = await run(command, ['-version'], { env: environment, timeout: 20_000 });
    output = stderr + stdout;
  } catch (error) {
    throw new StackError('STACK_NO_JAVA', `No Java was found (${where}): ${messageOf(error)}`, REMEDY, error);
  }
  const major = parseJavaMajor(output);
  if (major === undefined || major < OLDEST_JAVA || major >= FIRST_UNUSABLE_JAVA) {
    throw new StackError(
      'STACK_NO_JAVA',
      `${command} is ${major === undefined ? 'of unknown version' : `Java ${major}`}; the native stack needs Java ${OLDEST_JAVA} to ${FIRST_UNUSABLE_JAVA - 1} (Cassandra 5.0 supports ${OLDEST_JAVA}).`,
      REMEDY,
    );
  }
  return { command, major };
}
