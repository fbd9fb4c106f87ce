import { runUnitTests } from './test-suites.ts';

process.exitCode = await runUnitTests(process.argv.slice(2));
