/** Which provider to run the stack with. The decision is a function of what was found; the looking is beside it. */
import { access, constants } from 'node:fs/promises';
import { request } from 'node:http';
import { delimiter, join } from 'node:path';
import { homedir } from 'node:os';
import { messageOf } from '../shared/errors.ts';
import { jarsAreCached } from './native/jars.ts';
import { findJava } from './native/java.ts';
import { StackError } from './stack-error.ts';
import type { ProviderName } from './stack.ts';

/** What a user may ask for. */
export const PROVIDER_CHOICES = ['auto', 'docker', 'native'] as const;
export type ProviderChoice = (typeof PROVIDER_CHOICES)[number];

/** An engine on this machine answers at once; one that does not is as good as none. */
const PING_LIMIT_MS = 1_000;

/** What this machine has. */
export interface Findings {
  /** Null: an engine answered. Else why not. */
  readonly noDocker: string | null;
  /** Null: a usable Java was found. Else why not. */
  readonly noJava: string | null;
  /** Null: Maven, or the jars already in the cache. Else why not. */
  readonly noJars: string | null;
}

/** The provider for a choice. Throws `STACK_NO_DOCKER` or, for `auto`, `STACK_NO_PROVIDER` with both remedies. */
export function decideProvider(choice: ProviderChoice, findings: Findings): ProviderName {
  if (choice === 'native') return 'native';
  if (findings.noDocker === null) return 'docker';
  if (choice === 'docker') {
    throw new StackError(
      'STACK_NO_DOCKER',
      `No Docker engine answers: ${findings.noDocker}`,
      'Start one (Docker Desktop, or: sudo systemctl start docker), set DOCKER_HOST if it listens elsewhere, or use --provider native, which needs Java 17 and Maven.',
    );
  }
  const missing = [findings.noJava, findings.noJars].filter((reason) => reason !== null);
  if (missing.length === 0) return 'native';
  throw new StackError(
    'STACK_NO_PROVIDER',
    `The development stack needs either a Docker engine or Java 17 with Maven.\n  docker: ${findings.noDocker}\n  native: ${missing.join('; ')}`,
    'Either start a Docker engine (Docker Desktop, or: sudo systemctl start docker), or install Java 17 and Maven (Debian and Ubuntu: apt-get install openjdk-17-jre-headless maven; macOS: brew install openjdk@17 maven).',
  );
}

/** Where an engine may listen: a socket path, or a host and port. */
export type EngineAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/** The addresses to try, in the order of Docker's own clients. */
export function engineAddresses(environment: NodeJS.ProcessEnv, home: string): EngineAddress[] {
  const configured = environment['DOCKER_HOST'];
  if (configured) {
    if (configured.startsWith('unix://')) return [{ socketPath: configured.slice('unix://'.length) }];
    const url = URL.parse(configured);
    return url && (url.protocol === 'tcp:' || url.protocol === 'http:')
      ? [{ host: url.hostname, port: Number(url.port || '2375') }]
      : [];
  }
  const runtimeDir = environment['XDG_RUNTIME_DIR'];
  return [
    '/var/run/docker.sock',
    ...(runtimeDir ? [join(runtimeDir, 'docker.sock')] : []),
    join(home, '.docker', 'run', 'docker.sock'),
    join(home, '.docker', 'desktop', 'docker.sock'),
  ].map((socketPath) => ({ socketPath }));
}

async function ping(address: EngineAddress): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request({ ...address, path: '/_ping', timeout: PING_LIMIT_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? null : `it answered ${String(response.statusCode)}`);
    });
    asked.once('timeout', () => asked.destroy(new Error(`no answer within ${PING_LIMIT_MS} ms`)));
    asked.once('error', (error) => {
      resolve(messageOf(error));
    });
    asked.end();
  });
}

async function findDocker(environment: NodeJS.ProcessEnv): Promise<string | null> {
  const addresses = engineAddresses(environment, homedir());
  if (addresses.length === 0) {
    return `DOCKER_HOST is ${environment['DOCKER_HOST']}, and only unix:// and tcp:// addresses are understood here`;
  }
  const answers = await Promise.all(addresses.map(ping));
  return answers.includes(null) ? null : (answers[0] ?? null);
}

async function findMaven(environment: NodeJS.ProcessEnv): Promise<string | null> {
  if (jarsAreCached()) return null;
  for (const dir of (environment['PATH'] ?? '').split(delimiter)) {
    if (
      dir !== '' &&
      (await access(join(dir, 'mvn'), constants.X_OK).then(
        () => true,
        () => false,
      ))
    )
      return null;
  }
  return 'Maven (mvn) is not on PATH, and the jars are not in the cache';
}

/** Looks at this machine. */
export async function findProviders(environment: NodeJS.ProcessEnv = process.env): Promise<Findings> {
  const [noDocker, noJava, noJars] = await Promise.all([
    findDocker(environment),
    findJava(environment).then(() => null, messageOf),
    findMaven(environment),
  ]);
  return { noDocker, noJava, noJars };
}
