import { printable } from '@hcsshim/program';
import { Command, Option } from 'commander';
import { engineNames } from 'hcsshim';
import { doctor } from './doctor.ts';
import { type ExecOptions, exec } from './exec.ts';
import { ps } from './ps.ts';
import { type RunOptions, run } from './run.ts';
import { stop } from './stop.ts';

declare const HCSSHIM_VERSION: string;

const program = new Command('hcsshim')
  .description(
    'Runs containers in utility VMs through the Host Compute Service, on Linux over QEMU or namespaces',
  )
  .version(typeof HCSSHIM_VERSION === 'string' ? HCSSHIM_VERSION : '0.1.0')
  .enablePositionalOptions()
  .showHelpAfterError('(hcsshim --help shows the commands)');

program
  .command('run')
  .description('run a container in a VM of its own, and wait for it')
  .argument(
    '<image>',
    'a docker-archive or OCI-layout tar, an OCI-layout directory, or a root filesystem directory',
  )
  .argument('[command...]', "what to run, after --; the image's command if absent")
  .addOption(
    new Option('--engine <name>', 'what stands for HCS').choices([...engineNames]).env('HCSSHIM_ENGINE'),
  )
  .option('--id <id>', 'the name of the container; made up if absent')
  .option('-i, --interactive', 'keep standard input open')
  .option('-t, --tty', 'give the container a terminal')
  .option('-e, --env <NAME=value>', 'set an environment variable', collect, [])
  .option('-w, --workdir <path>', 'the folder to start in')
  .option('-u, --user <user>', 'user, or user:group, by name or number')
  .option('--memory <MiB>', 'memory of the VM')
  .option('--processors <count>', 'processors of the VM')
  .option('--scratch <GiB>', 'size of the writable layer', '20')
  .option('--timings', 'show where the time went, on standard error')
  .option('--guest-log', "show the guest's log, on standard error")
  .passThroughOptions()
  .action((image: string, words: string[], options: RunOptions) =>
    run(image, withoutSeparator(words), options),
  );

program
  .command('ps')
  .description('list the containers that run')
  .option('-q, --quiet', 'ids only')
  .action(ps);

program
  .command('exec')
  .description('run one more command in a container that runs')
  .argument('<id>', 'the container')
  .argument('<command...>', 'what to run')
  .option('-i, --interactive', 'keep standard input open')
  .option('-t, --tty', 'give the command a terminal')
  .option('-e, --env <NAME=value>', 'set an environment variable', collect, [])
  .option('-w, --workdir <path>', 'the folder to start in')
  .option('-u, --user <user>', 'user, or user:group, by name or number')
  .passThroughOptions()
  .action((id: string, words: string[], options: ExecOptions) => exec(id, withoutSeparator(words), options));

program
  .command('stop')
  .description('stop a container: ask, wait, kill')
  .argument('<id>', 'the container')
  .option('-t, --time <seconds>', 'how long to wait before killing it', '30')
  .action(stop);

program
  .command('doctor')
  .description('say what this machine can run, and remove what dead owners left behind')
  .action(doctor);

program.parseAsync().catch((error: unknown) => {
  // A cause says what an error's own words leave open.
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    console.error(`${at === error ? 'hcsshim: ' : '  because: '}${printable(at.message)}`);
  }
  // Docker's code for a failure of the tool itself, not of the command in the container.
  process.exitCode = 125;
});

/** The command as it was given, without the `--` that may stand before it. */
function withoutSeparator(words: string[]): string[] {
  return words[0] === '--' ? words.slice(1) : words;
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}
