/** Opens the stack of a directory with the provider that was asked for, or the one that is there. */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { NativeOptions } from './native/native-options.ts';
import { NativeStack } from './native/native-stack.ts';
import { decideProvider, findProviders, type ProviderChoice } from './provider-choice.ts';
import { StackError } from './stack-error.ts';
import type { ProviderName, Stack } from './stack.ts';

/** Where `lockstep stack` keeps its stack, below the working directory. */
export const DEFAULT_STACK_DIR = join('.lockstep', 'stack');

/** Options of {@link openStack}. */
export interface OpenStackOptions {
  readonly provider: ProviderChoice;
  /** Holds data, logs and state; made when missing. Relative to the working directory. */
  readonly dir: string;
  /** What only native stacks have. */
  readonly native?: NativeOptions;
}

/** The provider whose data a directory holds already. */
function providerOf(dir: string): ProviderName | undefined {
  const path = join(dir, 'state.json');
  if (!existsSync(path)) return undefined;
  try {
    const { provider } = JSON.parse(readFileSync(path, 'utf8')) as { provider?: unknown };
    return provider === 'docker' || provider === 'native' ? provider : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The stack in `dir`. Starts nothing. Under `auto`, a directory that was used before keeps its provider: its data
 * is of no use to the other one. Throws `STACK_NO_PROVIDER`, `STACK_NO_DOCKER` or `STACK_STATE`.
 */
export async function openStack(options: OpenStackOptions): Promise<Stack> {
  const dir = resolve(options.dir);
  const before = providerOf(dir);
  if (before !== undefined && options.provider !== 'auto' && options.provider !== before) {
    throw new StackError(
      'STACK_STATE',
      `${dir} holds a stack of the provider "${before}", not "${options.provider}".`,
      `Use --provider ${before}, or another --dir.`,
    );
  }
  const choice = before ?? options.provider;
  const provider = choice === 'native' ? 'native' : decideProvider(choice, await findProviders());
  if (provider === 'native') return new NativeStack(dir, options.native);
  if (options.native !== undefined) {
    throw new StackError(
      'STACK_NO_PROVIDER',
      'A second Cassandra node and a listener behind a proxy are to be had from the native provider only.',
      'Use --provider native.',
    );
  }
  // Loaded only here: nobody else needs a container client.
  const { DockerStack } = await import('./docker/docker-stack.ts');
  return new DockerStack(dir);
}
