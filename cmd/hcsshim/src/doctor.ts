import { diagnose } from 'hcsshim';

export async function doctor(): Promise<void> {
  const { findings, swept } = await diagnose();
  for (const { ok, subject, detail } of findings)
    console.log(`${ok ? '✓' : '✗'} ${subject.padEnd(18)} ${detail}`);
  for (const id of swept) console.log(`✓ removed what a dead owner left of "${id}"`);
  if (findings.some(({ ok }) => !ok)) process.exitCode = 1;
}
