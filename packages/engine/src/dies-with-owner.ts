/**
 * Makes of a command one that the kernel kills when this process dies, whatever way that is. setpriv (of
 * util-linux) asks the kernel for it; had this process died before, nobody would come to kill the command, so a
 * shell then looks whether its parent is still the one that it should be. Each becomes the next: there is one
 * process with one pid.
 */
export function diesWithOwner(command: readonly string[]): { program: string; args: string[] } {
  return {
    program: 'setpriv',
    args: [
      ...['--pdeathsig', 'KILL', '--'],
      ...['sh', '-c', '[ "$PPID" = "$0" ] && exec "$@"', String(process.pid)],
      ...command,
    ],
  };
}
