/**
 * Lets systems be told of their end over and over, and then ends: by `process.exit()`, or by closing everything,
 * after which nothing keeps its event loop. Exit code 42 either way.
 */
import {
  bind,
  computecore,
  createComputeSystem,
  runOperation,
  type SystemHandle,
  watchComputeSystem,
} from '@hcsshim/windows';

const hcs = bind(computecore);

async function start(system: SystemHandle): Promise<void> {
  await runOperation('start', (operation) =>
    system.use((computeSystem) =>
      hcs.HcsStartComputeSystem({ computeSystem, operation, options: '{"Fault":"storm"}' }),
    ),
  );
}

process.exitCode = 42;
const ids = Array.from({ length: 20 }, (_, index) => `exit ${process.pid} ${index}`);
const systems = await Promise.all(ids.map((id) => createComputeSystem(id, '{}')));
const routes = await Promise.all(systems.map((system) => watchComputeSystem(system, () => {})));
const starting = systems.map(start);
if (process.argv[2] === 'exit') {
  await Promise.race(starting);
  process.exit();
}
await Promise.all(starting);
for (const route of routes) route[Symbol.dispose]();
await Promise.all(systems.map((system) => system.close()));
