/** How git, restic and others write what is written otherwise here, or is not there at all. */
const FOREIGN: readonly (readonly [form: RegExp, hint: string])[] = [
  [/^-$|@\{-/, "what was checked out before is not kept; 'vsimg log' lists all versions"],
  [/@\{/, "there is no reflog: 'vsimg log' lists all versions, and ~N names a parent"],
  [/^(@|latest|newest|last|tip|head)$/i, 'the version checked out is HEAD'],
  [/\.\./, 'name one version: a range can not be taken here'],
  [/^\d+-\d+$/, 'versions from one number to another are written 3..7'],
  [/^\w+(,\w+)+$/, 'name one version a word'],
  [/^-\d+$/, 'the version before HEAD is HEAD~1'],
  [/\^[!@-]/, "'vsimg show' tells what one version changed"],
  [/\.(vsi|raw|img|qcow2)$/, "only one image is named here; 'vsimg compare' compares two files"],
  [/\^\d/, 'a version has one parent: ~1, ~2 and so on name those before it'],
];

/** What to say of a revision that there is not. */
export function foreignRevisionHint(text: string): string | undefined {
  return FOREIGN.find(([form]) => form.test(text))?.[1];
}
