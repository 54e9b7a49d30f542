/** Builds the image of the capture agent, for which there is no official one, from `deploy/agent/Dockerfile`. */
import { copyFile, cp, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GenericContainer } from 'testcontainers';
import { packageFile } from '../package-root.ts';
import { agentImageName } from './container-plan.ts';

/** What decides the image's content, from the package's root. */
const CONTEXT_FILES = [
  ['deploy', 'agent', 'Dockerfile'],
  ['connectors', 'native', 'pom.xml'],
  ['connectors', 'native', 'agent', 'pom.xml'],
  ['connectors', 'native', 'java17.args'],
  ['connectors', 'native', 'logback.xml'],
] as const;

/** Builds it (the engine's cache makes a second build quick) and returns its name. `dir` is the stack's directory. */
export async function buildAgentImage(dir: string): Promise<string> {
  const texts = await Promise.all(CONTEXT_FILES.map((file) => readFile(packageFile(...file), 'utf8')));
  const image = agentImageName(texts);
  // The Dockerfile's context is connectors/; the engine's API wants the Dockerfile inside.
  const context = join(dir, 'agent-image');
  await rm(context, { recursive: true, force: true });
  await mkdir(context, { recursive: true });
  await cp(packageFile('connectors', 'native'), join(context, 'native'), { recursive: true });
  await copyFile(packageFile('deploy', 'agent', 'Dockerfile'), join(context, 'Dockerfile'));
  await GenericContainer.fromDockerfile(context).build(image, { deleteOnExit: false });
  return image;
}
