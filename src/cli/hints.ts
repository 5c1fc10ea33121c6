/** Words of qemu-img and git that are no commands here, with the words that do it. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  add: "there is no staging: 'vsimg write' changes the working state, 'vsimg commit' keeps it",
  archive: "'vsimg export' writes a version to a raw file",
  backup: "'vsimg import' makes the next version of a raw image",
  br: "it is 'vsimg branch'",
  cat: "'vsimg read' prints bytes of a version",
  ci: "it is 'vsimg commit'",
  clone: "an image is one file: copy it, or start a line of history with 'vsimg branch'",
  co: "it is 'vsimg checkout'",
  config: "there is nothing to set up; 'vsimg help environment' lists the variables",
  convert: "'vsimg import' turns a raw image into a version, 'vsimg export' a version into a raw image",
  dd: "'vsimg read' and 'vsimg write' move bytes",
  dump: "'vsimg read' prints bytes of a version",
  fsck: "it is 'vsimg check'",
  head: "'vsimg status' shows the head",
  history: "it is 'vsimg log'",
  init: "it is 'vsimg create'",
  lock: "'vsimg tag --lock' keeps a version from being removed",
  list: "'vsimg log' lists versions, 'vsimg tag' tags, 'vsimg branch' branches",
  ls: "'vsimg log' lists versions, 'vsimg tag' tags, 'vsimg branch' branches",
  merge:
    "versions of disks can not be merged; 'vsimg diff' shows what differs, 'vsimg squash' joins versions that follow each other",
  prune: "'vsimg forget' removes versions by rules, 'vsimg gc' gives back their space",
  pull: 'an image is one file: copy it',
  push: 'an image is one file: copy it',
  rebase: "an image needs no other file; 'vsimg checkout' continues from any version",
  reflog: "it is 'vsimg log', which lists all versions",
  remove: "it is 'vsimg delete'",
  reset: "'vsimg checkout IMAGE REV --force' drops what is not committed",
  restore: "'vsimg checkout' goes back to a version, 'vsimg export' writes it to a file",
  revert: "'vsimg checkout' goes back to a version, and the next commit goes on from it",
  rm: "it is 'vsimg delete'",
  save: "it is 'vsimg commit'",
  snapshot: "'vsimg commit' makes one, 'vsimg log' lists them, 'vsimg checkout' goes back, 'vsimg delete' removes",
  snapshots: "it is 'vsimg log'",
  stash: "'vsimg commit' keeps what was changed, on a branch of its own if it is only for now",
  st: "it is 'vsimg status'",
  switch: "it is 'vsimg checkout'",
  tags: "it is 'vsimg tag'",
  branches: "it is 'vsimg branch'",
  verify: "it is 'vsimg check --data'",
  versions: "it is 'vsimg log'",
};

/** What to say to someone who types a command of another program. */
export function hintFor(word: string): string | undefined {
  return Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : undefined;
}

/** The same for options, and for more arguments than a command takes, by the command and what was typed. */
const WITH_COMMAND: Readonly<Record<string, string>> = {
  'commit --amend': "it is 'vsimg amend'",
  'commit -a': 'there is no staging: all that was written is committed',
  'check -r': "it is '--repair'",
  'branch -m': "make the new name with 'vsimg branch IMAGE NEW OLD', and delete the old one with -d",
  'branch -v': "'vsimg branch IMAGE' shows versions and messages",
  'branch -a': "'vsimg branch IMAGE' lists all",
  'tag -l': "'vsimg tag IMAGE' lists all",
  'tag -a': "'vsimg tag IMAGE NAME REV' makes a tag; the message is that of the version",
  'log --all': 'without @REV all versions are listed',
  'log -p': "'vsimg show' and 'vsimg diff' show what changed",
  'log more': '-n N lists the newest N',
  'forget --prune': "it is '--gc'",
  'blame -L': 'a range is --offset and --length',
  'gc --prune': "'vsimg forget' removes versions by rules",
  'compare more': 'two versions are IMAGE@A IMAGE@B',
  'squash more': 'write A..B',
  'info -U': 'info never waits for a writer',
  'create -f': 'the format is always vsi',
};

/** `what`: an option as it was typed, or 'more'. */
export function hintWithin(command: string, what: string): string | undefined {
  const key = `${command} ${what}`;
  return Object.hasOwn(WITH_COMMAND, key) ? WITH_COMMAND[key] : undefined;
}
