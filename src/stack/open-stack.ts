import { resolve } from 'node:path';
import { NativeStack } from './native/native-stack.ts';
import type { ProviderName, Stack } from './stack.ts';
export type ProviderChoice = 'auto' | ProviderName;
export interface OpenStackOptions { readonly provider: ProviderChoice; readonly dir: string }
export async function openStack(options: OpenStackOptions): Promise<Stack> {
  return new NativeStack(resolve(options.dir));
}
