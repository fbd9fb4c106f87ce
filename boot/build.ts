/**
 * Builds what a utility VM boots.
 *
 *     node boot/build.ts [--base FILE.tar[.gz]] [--out DIR] [--agent FILE.cjs]
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBootFiles } from './src/index.ts';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    base: { type: 'string' },
    out: { type: 'string', default: join(root, 'out') },
    agent: { type: 'string', default: join(root, 'cmd/gcs/dist/gcs.cjs') },
  },
});
try {
  let last = '';
  const files = await ensureBootFiles({
    outDir: values.out,
    agentBundle: values.agent,
    ...(values.base === undefined ? {} : { base: values.base }),
    onProgress: (step, fraction) => {
      const line = `${String(Math.round(fraction * 100)).padStart(3)} % ${step}`;
      if (line !== last) console.error((last = line));
    },
  });
  console.log(JSON.stringify(files, null, 2));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
