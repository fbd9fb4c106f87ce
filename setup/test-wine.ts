/**
 * `npm run test:wine`: `test/wine/*.wine.ts` under the Windows Node in Wine, against stand-in DLLs. Arguments
 * narrow it to files.
 *
 *     npm run test:wine [-- test/wine/computecore.wine.ts …]
 */
import { runWineTests } from './test-suites.ts';

process.exitCode = await runWineTests(process.argv.slice(2));
