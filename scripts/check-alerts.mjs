// Checks the alert rules and runs their unit tests with promtool. Skipped, in so many words, where there is no promtool
// (it comes with Prometheus); CHECK_ALERTS=required makes that an error.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const directory = join(import.meta.dirname, '..', 'alerts');
const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
const tests = files.filter((name) => name.endsWith('.test.yaml'));
const rules = files.filter((name) => !name.endsWith('.test.yaml'));

const promtool = (...args) => spawnSync('promtool', args, { cwd: directory, stdio: 'inherit' });

if (promtool('--version').error !== undefined) {
  const required = process.env.CHECK_ALERTS === 'required';
  console.log(
    'alerts: SKIPPED, promtool is not installed (Debian: apt-get install prometheus; macOS: brew install prometheus)',
  );
  process.exit(required ? 1 : 0);
}
const untested = rules.filter((name) => !tests.includes(name.replace('.yaml', '.test.yaml')));
if (untested.length > 0) {
  console.error(`alerts: no tests for ${untested.join(', ')}`);
  process.exit(1);
}
if (promtool('check', 'rules', ...rules).status !== 0) process.exit(1);
if (promtool('test', 'rules', ...tests).status !== 0) process.exit(1);
