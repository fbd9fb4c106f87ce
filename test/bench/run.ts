/**
 * `npm run bench`: each figure on a line, with its ratio to a reference measured in the same run.
 *
 *     npm run bench [-- containers|vm-start|shim|ttrpc|ext4|windows …]
 */
import { containerComparisons } from './containers.ts';
import { ext4Comparisons } from './ext4.ts';
import { line } from './measure.ts';
import { shimComparisons } from './shim.ts';
import { stateComparisons } from './state-calls.ts';
import { vmStartComparisons } from './vm-start.ts';
import { windowsComparisons } from './windows.ts';

const suites = {
  containers: containerComparisons,
  'vm-start': vmStartComparisons,
  shim: shimComparisons,
  ttrpc: stateComparisons,
  ext4: ext4Comparisons,
  windows: windowsComparisons,
};

const asked = process.argv.slice(2);
for (const [name, measure] of Object.entries(suites)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  for (const comparison of await measure()) console.log(line(comparison));
}
