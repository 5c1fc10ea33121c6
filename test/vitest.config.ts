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
    // Five times as fast as processes; no test may therefore change the environment or the working directory.
    pool: 'threads',
    isolate: false,
    maxWorkers: '100%',
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html', 'json-summary'] },
  },
});
