import { runEndToEndTests } from './test-suites.ts';

process.exitCode = await runEndToEndTests(process.argv.slice(2));
