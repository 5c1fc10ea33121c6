import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));
const report = process.env['VSIMG_TEST_REPORT'];

export default defineConfig({
  root,
  resolve: {
    // The plain JavaScript build, the one that is shipped.
    alias: { msgpackr: `${root}node_modules/msgpackr/index.js` },
  },
  test: {
    include: ['test/**/*.test.ts'],
    // Not threads: in one process for all, memory of big buffers is given back so late that starting the program from
    // it takes seconds. Files in one process share modules, which is much faster than loading them for each.
    pool: 'forks',
    isolate: false,
    maxWorkers: '100%',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html', 'json-summary'] },
  },
});
