import { expect, it } from 'vitest';
import { loadAddon } from '../../src/storage/native-package.ts';

it('a native part that is there is loaded, and one that is not, or is none, is left to its package', () => {
  const there = loadAddon<object>((host) => `fs-native-extensions/prebuilds/${host}/fs-native-extensions.node`);
  expect(there).toHaveProperty('tryLock');
  expect(loadAddon(() => 'fs-native-extensions/prebuilds/no-such.node')).toBeUndefined();
  expect(loadAddon(() => 'fs-native-extensions/package.json')).toBeUndefined();
});
