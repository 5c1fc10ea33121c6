/**
 * Adds up the test reports (*.json) and failed steps (*.failed) in a directory. A failed step counts as one failure
 * unless its report already holds some. Prints what failed, and "N passed, N failed" last.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const directory = process.argv[2];
const names = readdirSync(directory);
let passed = 0;
let failed = 0;
let skipped = 0;

/** Prints each failed test of a report with what it said, so that the end of a log tells. */
function printFailures(report, step) {
  for (const { name, assertionResults } of report.testResults) {
    for (const { status, fullName, failureMessages } of assertionResults) {
      if (status !== 'failed') continue;
      console.log(`failed: ${step}: ${relative(process.cwd(), name)}: ${fullName}`);
      for (const message of failureMessages) console.log(message.split('\n', 40).join('\n'));
    }
  }
}

/** Failures in one report, with a file that could not be loaded or run counted as one. */
function addReport(report, step) {
  printFailures(report, step);
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  );
  for (const { name, message } of broken) console.log(`${name}: ${message}`);
  passed += report.numPassedTests;
  skipped += report.numPendingTests + report.numTodoTests;
  const failures = report.numFailedTests + broken.length;
  const unexplained = failures === 0 && (!report.success || report.numPassedTests === 0) ? 1 : 0;
  failed += failures + unexplained;
  return failures + unexplained;
}

function failuresIn(step) {
  try {
    return addReport(JSON.parse(readFileSync(join(directory, `${step}.json`), 'utf8')), step);
  } catch (error) {
    console.log(`${step}: ${error.message}`);
    failed++;
    return 1;
  }
}

const failuresOf = new Map();
for (const name of names.filter((entry) => entry.endsWith('.json'))) {
  const step = name.slice(0, -'.json'.length);
  failuresOf.set(step, failuresIn(step));
}
for (const name of names.filter((entry) => entry.endsWith('.failed'))) {
  const step = name.slice(0, -'.failed'.length);
  console.log(`failed: ${step}: ${readFileSync(join(directory, name), 'utf8').trim().replaceAll('\n', ', ')}`);
  if (!failuresOf.get(step)) failed++;
}
if (skipped > 0) console.log(`${skipped} skipped`);
if (failuresOf.size === 0 && failed === 0) failed++;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
