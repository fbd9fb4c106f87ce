import { execInContainer } from 'hcsshim';
import { connectStreams, rawTerminal, terminalSize } from './terminal.ts';

export interface ExecOptions {
  interactive?: boolean;
  tty?: boolean;
  env: string[];
  workdir?: string;
  user?: string;
}

export async function exec(id: string, command: string[], options: ExecOptions): Promise<void> {
  const process_ = await execInContainer(id, {
    args: command,
    env: options.env,
    ...(options.workdir ? { cwd: options.workdir } : {}),
    ...(options.user ? { user: options.user } : {}),
    ...(options.tty ? { terminal: terminalSize() } : {}),
  });
  if (!options.interactive) process_.closeStdin();
  using _terminal = options.tty ? rawTerminal() : undefined;
  const [exitCode] = await Promise.all([
    process_.wait(),
    connectStreams({ ...process_, stdin: options.interactive ? process_.stdin : undefined }),
  ]);
  process.exitCode = exitCode;
}
