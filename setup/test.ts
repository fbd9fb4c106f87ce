/**
 * `npm test`: unit tests, then the end-to-end suite against a real containerd, on both engines, then the Windows path under
 * Wine. `npm run test:unit`, `npm run test:e2e` and `npm run test:wine` run one part.
 */
import { runEndToEndTests, runUnitTests, runWineTests } from './test-suites.ts';

const failed = [await runUnitTests(), await runEndToEndTests(), await runWineTests()].some(
  (code) => code !== 0,
);
process.exitCode = failed ? 1 : 0;
