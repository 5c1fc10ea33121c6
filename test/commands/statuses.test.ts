import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Header } from '../../src/format/header.ts';
import { SLOT_A_OFFSET, SLOT_B_OFFSET, SLOT_BYTES } from '../../src/format/layout.ts';
import { encodeSlot, readSlots } from '../../src/format/slot.ts';
import { workspace } from '../support/workspace.ts';

/** Statuses that ordinary images do not lead to: containers are made here that do. */
describe('exit statuses', () => {
  const { ok, fails, run, path } = workspace();

  beforeAll(async () => {
    await ok(['create', 'a.vsi', '1M', '-q']);
    await ok(['write', 'a.vsi', '-q'], { stdin: 'data' });
    await ok(['commit', 'a.vsi', '-m', 'one', '-q']);
  });

  /** A copy of the image with another header, and `extraBytes` behind its end. */
  function craft(name: string, change: (header: Header) => Header, extraBytes = 0): string {
    const bytes = readFileSync(path('a.vsi'));
    const [a, b] = [SLOT_A_OFFSET, SLOT_B_OFFSET].map((at) => bytes.subarray(at, at + SLOT_BYTES));
    const { generation, header } = readSlots(a ?? bytes, b ?? bytes, name);
    const slot = encodeSlot(generation, change(header));
    bytes.set(slot, SLOT_A_OFFSET);
    bytes.set(slot, SLOT_B_OFFSET);
    writeFileSync(path(name), Buffer.concat([bytes, Buffer.alloc(extraBytes)]));
    return name;
  }

  it('69: the image needs a feature of the future', async () => {
    const name = craft('new.vsi', (header) => ({
      ...header,
      features: { ...header.features, incompatible: ['time-travel'] },
    }));
    for (const argv of [
      ['info', name],
      ['read', name],
      ['export', name, '-'],
      ['write', name],
      ['gc', name],
    ]) {
      expect(await fails(69, argv)).toContain('time-travel');
    }
    expect(await fails(1, ['check', name])).toContain('time-travel');
  });

  it('69: writing the image needs a feature of the future, reading does not', async () => {
    const name = craft('read-only.vsi', (header) => ({
      ...header,
      features: { ...header.features, readOnlyCompatible: ['time-travel'] },
    }));
    expect(await fails(69, ['write', name], { stdin: 'x' })).toContain('time-travel');
    expect(await ok(['read', name, '--length', '4'])).toBe('data');
    expect(await ok(['info', name])).toContain('time-travel');
  });

  it('3: check finds leaked space, and gc gives it back', async () => {
    const name = craft(
      'leak.vsi',
      (header) => ({ ...header, space: { ...header.space, end: header.space.end + 8192 } }),
      8192,
    );
    const { status, stdout, stderr } = await run(['check', name]);
    expect({ status, stderr }).toEqual({ status: 3, stderr: '' });
    expect(stdout).toMatch(/^8 KiB are leaked; 'vsimg gc' gives them back\n/);
    const report = JSON.parse((await run(['check', name, '--json'])).stdout);
    expect(report).toMatchObject({ leaks: 2, 'leaked-bytes': 8192, corruptions: 0 });
    await ok(['gc', name, '-q']);
    await ok(['check', name, '--data', '-q']);
  });
});
