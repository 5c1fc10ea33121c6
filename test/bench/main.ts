// Measures groups of things, each in a process of its own, and prints a table for each as it goes.
//
//   npm run bench [-- [--runs=N] [--small] [--json=FILE] [--svg=FILE] [GROUP...]]
//
// GROUP: see groups.ts; without one all but 'experiment'. --small: small disks, to try the benchmark itself.
import { fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { drawChart } from './chart.ts';
import { groups, isGroup } from './groups.ts';
import { describeMachine } from './machine.ts';
import { installPeers } from './peers.ts';
import { formatReport, isMet, type Report } from './report.ts';
import type { BenchOptions } from './workbench.ts';

interface Task {
  readonly group: string;
  readonly options: BenchOptions;
}

/** A process that has used much memory starts others slowly: so each group gets a fresh one. */
function inOwnProcess(task: Task): Promise<Report> {
  return new Promise((resolve, reject) => {
    let report: Report | undefined;
    const child = fork(process.argv[1] as string, ['--task', JSON.stringify(task)], { execArgv: ['--expose-gc'] });
    child.on('message', (message) => {
      report = message as Report;
    });
    child.on('close', (status) => {
      if (report !== undefined && status === 0) resolve(report);
      else reject(new Error(`'${task.group}' ended with ${status}`));
    });
  });
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
  installPeers(new Set(chosen.flatMap(({ group }) => group.needs)));
  const machine = describeMachine();
  console.log(machine);
  const reports: { readonly group: string; readonly report: Report }[] = [];
  for (const { name } of chosen) {
    const report = await inOwnProcess({ group: name, options: { runs, size: values.small ? 'small' : 'full' } });
    console.log(formatReport(report));
    reports.push({ group: name, report });
  }
  if (reports.some(({ report }) => (report.failures ?? []).length > 0)) process.exitCode = 1;
  const barred = reports.flatMap(({ report }) => report.figures.map(isMet)).filter((met) => met !== undefined);
  console.log(`\n${barred.filter((met) => met).length} of ${barred.length} bars met.`);
  if (values.json !== undefined) {
    const results = reports.map(({ group, report }) => ({
      group,
      ...report,
      figures: report.figures.map((figure) => ({ ...figure, met: isMet(figure) })),
    }));
    writeFileSync(values.json, `${JSON.stringify({ machine, runs, groups: results }, null, 2)}\n`);
  }
  if (values.svg !== undefined) {
    writeFileSync(values.svg, drawChart(reports.flatMap(({ report }) => report.figures)));
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
