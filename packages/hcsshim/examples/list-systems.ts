/** Lists the compute systems of this machine, on Windows and on Linux: `node list-systems.ts`. */
import { openPlatform } from 'hcsshim';

await using platform = await openPlatform();
const systems = await platform.compute.enumerate({}, { signal: AbortSignal.timeout(10_000) });
for (const { Id, SystemType, State, Owner } of systems)
  console.log([Id, SystemType, State, Owner].join('  '));
console.log(`${systems.length} compute ${systems.length === 1 ? 'system' : 'systems'}`);
