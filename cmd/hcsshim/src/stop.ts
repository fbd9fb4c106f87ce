import { stopContainer } from 'hcsshim';

export async function stop(id: string, { time }: { time: string }): Promise<void> {
  const seconds = Number(time);
  if (!(seconds >= 0)) throw new Error(`Cannot use --time "${time}": it must be a number of seconds`);
  await stopContainer(id, { patience: seconds * 1000 });
  console.log(id);
}
