// Prints "N passed, N failed" from vitest's JSON report over all projects, and fails where something failed or nothing ran.
// Usage: summarize-tests.mjs REPORT [FAILED_STEPS]
import { readFileSync } from 'node:fs';

const [path, failedSteps = '0'] = process.argv.slice(2);

/** Counts of a report; a file that did not even load counts as one failure. */
function counts() {
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    console.log(`no test report: ${error.message}`);
    return { passed: 0, failed: 1 };
  }
  const unloaded = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return { passed: report.numPassedTests, failed: report.numFailedTests + unloaded.length };
}

const { passed, failed } = counts();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = passed === 0 || failed > 0 || Number(failedSteps) > 0 ? 1 : 0;
