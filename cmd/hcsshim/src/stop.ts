import { stopContainer } from 'hcsshim';

export async function stop(id: string): Promise<void> {
  await stopContainer(id);
  console.log(id);
}
