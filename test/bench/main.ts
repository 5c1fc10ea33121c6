// Measures groups of things, each in a process of its own, and prints a table for each as it goes.
//
//   npm run bench [-- [--runs=N] [--small] [--json=FILE] [--svg=FILE] [GROUP...]]
//
// GROUP: see groups.ts; without one all but 'experiment'. --small: small disks, to try the benchmark itself.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { drawChart } from './chart.ts';
import { groups, isGroup } from './groups.ts';
import { describeMachine } from './machine.ts';
import { installPeers, type Package } from './peers.ts';
import { formatReport, isMet, type Report } from './report.ts';
import type { BenchOptions } from './workbench.ts';

interface Task {
  readonly group: string;
  readonly options: BenchOptions;
}

/**
 * A process that has used much memory starts others slowly: so each group gets a fresh one. What it made is removed also
 * when it is stopped.
 */
async function inOwnProcess(group: string, options: Omit<BenchOptions, 'directory'>): Promise<Report> {
  const directory = mkdtempSync(join(tmpdir(), 'vsimg-bench-'));
  const task: Task = { group, options: { ...options, directory } };
  const child = fork(process.argv[1] as string, ['--task', JSON.stringify(task)], { execArgv: ['--expose-gc'] });
  const stop = (): boolean => child.kill();
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    let report: Report | undefined;
    child.on('message', (message) => {
      report = message as Report;
    });
    const [status, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (report === undefined || status !== 0) throw new Error(`'${group}' ended with ${signal ?? status}`);
    return report;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    rmSync(directory, { recursive: true, force: true });
  }
}

async function runTask(text: string): Promise<void> {
  const { group, options } = JSON.parse(text) as Task;
  if (!isGroup(group)) throw new Error(`no group '${group}'`);
  process.send?.(await groups[group].run(options));
}

async function runAll(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '5' },
      small: { type: 'boolean', default: false },
      json: { type: 'string' },
      svg: { type: 'string' },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs=${values.runs} is not a number of runs`);
  const names = positionals.length > 0 ? positionals : Object.keys(groups).filter((name) => name !== 'experiment');
  const chosen = names.map((name) => {
    if (!isGroup(name)) throw new Error(`no group '${name}': there are ${Object.keys(groups).join(', ')}`);
    return { name, group: groups[name] };
  });
  const size = values.small ? 'small' : 'full';
  const needs: Package[] = chosen.flatMap(({ group }) => group.needs);
  installPeers(new Set(size === 'full' ? [...needs, 'fio'] : needs));
  const machine = describeMachine(size === 'full' ? 'measured' : 'unknown');
  console.log(machine);
  const reports: { readonly group: string; readonly report: Report }[] = [];
  for (const { name } of chosen) {
    const report = await inOwnProcess(name, { runs, size });
    console.log(formatReport(report));
    reports.push({ group: name, report });
  }
  if (reports.some(({ report }) => (report.failures ?? []).length > 0)) process.exitCode = 1;
  const barred = reports.flatMap(({ report }) => report.figures.map(isMet)).filter((met) => met !== undefined);
  if (barred.length > 0) console.log(`\n${barred.filter((met) => met).length} of ${barred.length} bars met.`);
  if (values.json !== undefined) {
    const results = reports.map(({ group, report }) => ({
      group,
      ...report,
      figures: report.figures.map((figure) => ({ ...figure, met: isMet(figure) })),
    }));
    writeFileSync(values.json, `${JSON.stringify({ machine, runs, groups: results }, null, 2)}\n`);
  }
  if (values.svg !== undefined) {
    writeFileSync(values.svg, drawChart(reports.map(({ report }) => report)));
  }
}

const [mode, task] = process.argv.slice(2);
try {
  if (mode === '--task' && task !== undefined) await runTask(task);
  else await runAll(process.argv.slice(2));
} catch (error) {
  console.error(mode === '--task' ? error : `bench: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
