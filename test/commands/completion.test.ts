import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/registry.ts';
import { BINARY } from '../support/cli.ts';
import { workspace } from '../support/workspace.ts';

const { ok, json, fails, directory, path } = workspace();

const has = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).error === undefined;

beforeAll(async () => {
  await ok(['create', 'disk.vsi', '1M', '-q']);
  await ok(['commit', 'disk.vsi', '-m', 'first', '--tag', 'v1', '-q']);
  await ok(['tag', 'disk.vsi', 'v1.1', '-q']);
  await ok(['tag', 'disk.vsi', `$(touch\${IFS}owned)`, '-q']);
  await ok(['branch', 'disk.vsi', 'fixes', '-q']);
  mkdirSync(path('my d'));
  copyFileSync(path('disk.vsi'), path('my d/e.vsi'));
  copyFileSync(path('disk.vsi'), path('a@b.vsi'));
  writeFileSync(path('readme.txt'), '');
  writeFileSync(path('damaged.vsi'), 'no image');
  mkdirSync(path('bin'));
  writeFileSync(path('bin/vsimg'), `#!/bin/sh\nexec '${process.execPath}' '${BINARY}' "$@"\n`);
  chmodSync(path('bin/vsimg'), 0o755);
});

/** Runs a script of `shell`, in which `vsimg` is the program. */
function shell(name: string, argv: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(name, argv, {
    cwd: directory,
    env: {
      ...process.env,
      PATH: `${path('bin')}${delimiter}${process.env['PATH']}`,
      HOME: directory,
      LC_ALL: 'C.UTF-8',
    },
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

describe('what can follow', () => {
  const answer = async (...words: string[]): Promise<string[]> =>
    (await ok(['completion', 'bash', '--', ...words])).trimEnd().split('\n');

  it('every command is offered, and each of its options', async () => {
    expect(await answer('')).toEqual([...COMMANDS.map(({ name }) => name), ':nothing']);
    for (const { name } of COMMANDS) expect(await answer(name, '--js')).toEqual(['--json', ':nothing']);
  });

  it.each([
    [['--'], ['--help', '--version', ':nothing']],
    [['xyzzy', ''], [':nothing']],
    [
      ['log', 'disk.vsi', '--gr'],
      ['--graph', ':nothing'],
    ],
    [['log', '--graph', '--gr'], [':nothing']],
    [['log', 'disk.vsi', '-n', ''], [':nothing']],
    [['log', 'di'], [':images']],
    [['log', 'damaged.vsi@'], [':nothing']],
    [['log', 'readme.txt@'], [':nothing']],
    [['log', 'bin@'], [':images']],
    [
      ['log', 'disk.vsi@v'],
      ['disk.vsi@v1', 'disk.vsi@v1.1', ':nothing'],
    ],
    [
      ['log', 'a@b.vsi@m'],
      ['a@b.vsi@main', ':nothing'],
    ],
    [
      ['log', '~/disk.vsi@m'],
      ['~/disk.vsi@main', ':nothing'],
    ],
    [
      ['log', 'disk.vsi', '-l', 'f'],
      ['fixes', ':nothing'],
    ],
    [
      ['log', 'disk.vsi', '--revision=f'],
      ['--revision=fixes', ':nothing'],
    ],
    [
      ['log', 'disk.vsi', '--output', ''],
      ['text', 'json', 'json-lines', ':nothing'],
    ],
    [
      ['log', 'disk.vsi', '--output=t'],
      ['--output=text', ':nothing'],
    ],
    [
      ['diff', 'disk.vsi', '1..m'],
      ['1..main', ':nothing'],
    ],
    [
      ['diff', 'disk.vsi', '1', 'f'],
      ['fixes', ':nothing'],
    ],
    [['diff', 'disk.vsi', '1', '2', ''], [':nothing']],
    [
      ['delete', 'disk.vsi', '1', '2', 'f'],
      ['fixes', ':nothing'],
    ],
    [
      ['delete', '--', 'disk.vsi', 'f'],
      ['fixes', ':nothing'],
    ],
    [
      ['diff', 'disk.vsi', '-x', 'f'],
      ['fixes', ':nothing'],
    ],
    [
      ['branch', 'disk.vsi', '-d', ''],
      ['fixes', 'main', ':nothing'],
    ],
    [
      ['tag', 'disk.vsi', '-d', 'v1.'],
      ['v1.1', ':nothing'],
    ],
    [['commit', 'disk.vsi', '-m', ''], [':nothing']],
    [['import', ''], [':files']],
    [
      ['create', 'x.vsi', '1G', '--compression', 'zstd:1'],
      ['zstd:19', ':nothing'],
    ],
    [
      ['help', 'rev'],
      ['rev-parse', 'revisions', ':nothing'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish', ':nothing'],
    ],
  ])('%j', async (words, expected) => {
    expect(await ok(['completion', 'bash', '--', ...words], { env: { HOME: directory } })).toBe(
      `${expected.join('\n')}\n`,
    );
  });

  it('is told with what it is, and in JSON', async () => {
    expect(await ok(['completion', 'zsh', '--', 'log', 'disk.vsi@1'])).toBe('disk.vsi@1\tfirst\n:nothing\n');
    const {
      shell: name,
      candidates,
      files,
    } = JSON.parse(await ok(['completion', 'fish', '--json', '--', 'log', 'disk.vsi@f']));
    expect({ name, candidates, files }).toEqual({
      name: 'fish',
      candidates: [{ word: 'disk.vsi@fixes', description: 'branch, version 1' }],
      files: 'nothing',
    });
    expect((await json(['completion', 'bash'])).script).toContain('complete -F');
  });

  it('other shells are refused', async () => {
    expect(await fails(64, ['completion', 'tcsh'])).toContain('bash, zsh, fish');
  });
});

describe.skipIf(!has('bash'))('bash', () => {
  /** COMPREPLY for a line that is cut into words as bash does: at COMP_WORDBREAKS, where a `@` begins what is completed. */
  const reply = (line: string, words: readonly string[], current: string): string[] => {
    const script = `
      eval "$(vsimg completion bash)"
      compopt() { :; }
      COMP_LINE=$1 COMP_POINT=\${#1} COMP_CWORD=$(($# - 3))
      COMP_WORDS=("\${@:3}")
      _vsimg vsimg "$2" "\${@: -2:1}"
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    return shell('bash', ['-uc', script, 'bash', line, current, ...words])
      .trimEnd()
      .split('\n');
  };

  it.each([
    ['vsimg comm', ['vsimg', 'comm'], 'comm', ['commit']],
    ['vsimg log disk.vsi@m', ['vsimg', 'log', 'disk.vsi', '@', 'm'], '@m', ['@main']],
    [
      'vsimg log ./disk.vsi@',
      ['vsimg', 'log', './disk.vsi', '@'],
      '@',
      ['@HEAD', '@\\$\\(touch\\$\\{IFS\\}owned\\)', '@fixes', '@main', '@v1', '@v1.1', '@1'],
    ],
    ['vsimg log disk.vsi@v', ['vsimg', 'log', 'disk.vsi', '@', 'v'], '@v', ['@v1', '@v1.1']],
    ['vsimg log a@b.vsi@m', ['vsimg', 'log', 'a', '@', 'b.vsi', '@', 'm'], '@m', ['@main']],
    ['vsimg log --output=t', ['vsimg', 'log', '--output', '=', 't'], 't', ['text']],
    [
      'vsimg create x 1G --compression zstd:',
      ['vsimg', 'create', 'x', '1G', '--compression', 'zstd', ':'],
      '',
      ['3', '9', '19'],
    ],
    ['vsimg log my\\ d/e.vsi@m', ['vsimg', 'log', 'my\\ d/e.vsi', '@', 'm'], '@m', ['@main']],
    ['vsimg log "my d/e.vsi@m', ['vsimg', 'log', '"my d/e.vsi@m'], 'my d/e.vsi@m', ['my d/e.vsi@main']],
    ['vsimg diff disk.vsi 1..f', ['vsimg', 'diff', 'disk.vsi', '1..f'], '1..f', ['1..fixes']],
    ['vsimg log disk', ['vsimg', 'log', 'disk'], 'disk', ['disk.vsi']],
    ['vsimg log r', ['vsimg', 'log', 'r'], 'r', ['']],
    ['vsimg log damaged.vsi@', ['vsimg', 'log', 'damaged.vsi', '@'], '@', ['']],
    ['vsimg tag disk.vsi -d $', ['vsimg', 'tag', 'disk.vsi', '-d', '$'], '$', ['$\\(touch\\$\\{IFS\\}owned\\)']],
  ])('completes %s', (line, words, current, expected) => {
    expect(reply(line, words, current)).toEqual(expected);
  });

  it('has a script without mistakes', () => {
    expect(shell('bash', ['-c', 'vsimg completion bash | bash -n'])).toBe('');
  });
});

describe.skipIf(!has('fish'))('fish', () => {
  it.each([
    ['vsimg comm', ['commit']],
    ['vsimg log disk.vsi@v', ['disk.vsi@v1', 'disk.vsi@v1.1']],
    ['vsimg log my\\ d/e.vsi@m', ['my d/e.vsi@main']],
    ['vsimg log --output=t', ['--output=text']],
    ['vsimg diff disk.vsi 1..f', ['1..fixes']],
    ['vsimg log disk', ['disk.vsi']],
    ['vsimg log damaged.vsi@', []],
  ])('completes %s', (line, expected) => {
    const script = `vsimg completion fish | source; complete -C ${JSON.stringify(line).replaceAll('$', '\\$')}`;
    const words = shell('fish', ['--no-config', '-c', script])
      .split('\n')
      .map((found) => found.split('\t')[0] ?? '');
    expect(words.filter((word) => word !== '')).toEqual(expected);
  });
});

describe.skipIf(!has('zsh'))('zsh', () => {
  /** The line after the tabulator key, in a shell with a terminal. */
  const completed = (line: string): string => {
    const script = `
      zmodload zsh/zpty
      zpty z 'PS1="" zsh -f -i'
      zpty -w z 'stty -echo; PS1=""; autoload -U compinit; compinit -u -D; eval "$(vsimg completion zsh)"; bindkey -e'
      zpty -w z 'show() { print -r -- "<<$BUFFER>>"; BUFFER=; }; zle -N show; bindkey "^X" show; print ready''!'
      zpty -r -m z out '*ready!*'
      zpty -w -n z "$1"$'\\t\\x18'
      zpty -r -m z out '*<<*>>*'
      print -r -- "$out"`;
    return /<<(.*)>>/.exec(shell('zsh', ['-fc', script, 'zsh', line]))?.[1] ?? '';
  };

  it.each([
    ['vsimg comm', 'vsimg commit '],
    ['vsimg log disk.vsi@m', 'vsimg log disk.vsi@main '],
    ['vsimg log my\\ d/e.vsi@m', 'vsimg log my\\ d/e.vsi@main '],
    ['vsimg log --output=t', 'vsimg log --output=text '],
    ['vsimg diff disk.vsi 1..f', 'vsimg diff disk.vsi 1..fixes '],
    ['vsimg log disk', 'vsimg log disk.vsi '],
    ['vsimg log damaged.vsi@m', 'vsimg log damaged.vsi@m'],
  ])('completes %s', (line, expected) => {
    expect(completed(line)).toBe(expected);
  });
});
