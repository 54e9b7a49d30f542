import { describe, expect, it } from 'vitest';
import { decideProvider, engineAddresses, type Findings } from './provider-choice.ts';
import { StackError } from './stack-error.ts';

const everything: Findings = { noDocker: null, noJava: null, noJars: null };
const nothing: Findings = { noDocker: 'connect ENOENT', noJava: 'no Java', noJars: 'no Maven' };

function errorOf(work: () => unknown): StackError {
  try {
    work();
  } catch (error) {
    if (error instanceof StackError) return error;
  }
  throw new Error('no StackError was thrown');
}

describe('the choice of a provider', () => {
  it('prefers a Docker engine that answers', () => {
    expect(decideProvider('auto', everything)).toBe('docker');
  });

  it('falls back to Java with Maven', () => {
    expect(decideProvider('auto', { ...everything, noDocker: 'no answer' })).toBe('native');
  });

  it('takes what was asked for by name', () => {
    expect(decideProvider('native', everything)).toBe('native');
    expect(decideProvider('docker', everything)).toBe('docker');
  });

  it('names both remedies when there is neither', () => {
    const error = errorOf(() => decideProvider('auto', nothing));
    expect(error.code).toBe('STACK_NO_PROVIDER');
    expect(error.message).toContain('connect ENOENT');
    expect(error.message).toContain('no Java; no Maven');
    expect(error.remedy).toContain('start a Docker engine');
    expect(error.remedy).toContain('openjdk-17');
  });

  it('does not fall back from a provider that was named', () => {
    const error = errorOf(() => decideProvider('docker', { ...everything, noDocker: 'no answer within 1000 ms' }));
    expect(error.code).toBe('STACK_NO_DOCKER');
    expect(error.message).toContain('no answer within 1000 ms');
  });
});

describe('where an engine is looked for', () => {
  it('is where DOCKER_HOST says, and nowhere else', () => {
    expect(engineAddresses({ DOCKER_HOST: 'unix:///run/x.sock' }, '/home/a')).toEqual([{ socketPath: '/run/x.sock' }]);
    expect(engineAddresses({ DOCKER_HOST: 'tcp://10.0.0.1' }, '/home/a')).toEqual([{ host: '10.0.0.1', port: 2375 }]);
    expect(engineAddresses({ DOCKER_HOST: 'ssh://build' }, '/home/a')).toEqual([]);
  });

  it('is at the usual sockets otherwise', () => {
    expect(engineAddresses({ XDG_RUNTIME_DIR: '/run/user/1' }, '/home/a')).toEqual([
      { socketPath: '/var/run/docker.sock' },
      { socketPath: '/run/user/1/docker.sock' },
      { socketPath: '/home/a/.docker/run/docker.sock' },
      { socketPath: '/home/a/.docker/desktop/docker.sock' },
    ]);
  });
});
