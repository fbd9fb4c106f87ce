/**
 * `npm test`: unit tests, then the end-to-end suite against a real containerd, on both engines.
 * `npm run test:unit` and `npm run test:e2e` run one part.
 */
import { runEndToEndTests, runUnitTests } from './test-suites.ts';

const failed = [await runUnitTests(), await runEndToEndTests()].some((code) => code !== 0);
process.exitCode = failed ? 1 : 0;
