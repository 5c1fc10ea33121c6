#!/usr/bin/env node
'use strict';

let program;
try {
  program = require('../dist/cli/main.cjs');
} catch (error) {
  if (error.code !== 'MODULE_NOT_FOUND' || !error.message.includes('dist/cli/main.cjs')) throw error;
  process.stderr.write("vsimg: not built yet; run 'npm ci && npm run build' in its folder\n");
  process.exit(70);
}

program.main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
