import type { AcceleratorName } from './accelerator.ts';

/** Parameters that fit a Hyper-V VM and would cut off this one, and why they go. */
const unfitting: Record<string, string> = {
  'pci=off': 'the disks, the sockets and the bootstrap port are PCI devices',
  'pmtmr=0': 'without KVM the ACPI timer is what the clock is checked against',
  '8250_core.nr_uarts=0': 'the console tells why a kernel panicked',
};

/** Parameters that the engine adds where the document does not set them. */
const additions: { parameter: string; only?: AcceleratorName }[] = [
  { parameter: 'console=ttyS0' },
  // A kernel that panicked must not stay: QEMU runs with -no-reboot, so that a reboot is its end.
  { parameter: 'panic=-1' },
  { parameter: 'cryptomgr.notests' },
  { parameter: 'random.trust_cpu=on' },
  // The emulated processor speculates nothing; the mitigations only cost.
  { parameter: 'mitigations=off', only: 'tcg' },
  { parameter: 'noreplace-smp', only: 'tcg' },
  { parameter: 'no_timer_check', only: 'tcg' },
];

/**
 * The kernel's command line: the document's, without what does not fit this machine, and with what the
 * engine adds; the arguments after `--` stay as they are, they belong to the guest's init.
 */
export function kernelArguments(commandLine: string, accelerator: AcceleratorName): string {
  const words = commandLine.split(/\s+/).filter(Boolean);
  const separator = words.indexOf('--');
  const ofKernel = separator === -1 ? words : words.slice(0, separator);
  const ofInit = separator === -1 ? '' : commandLine.slice(commandLine.search(/(^|\s)--(\s|$)/)).trim();
  const kept = ofKernel.filter((word) => !(word in unfitting));
  const names = new Set(kept.map(parameterName));
  const added = additions
    .filter(({ parameter, only }) => (!only || only === accelerator) && !names.has(parameterName(parameter)))
    .map(({ parameter }) => parameter);
  return [...kept, ...added, ...(ofInit === '' ? [] : [ofInit])].join(' ');
}

function parameterName(parameter: string): string {
  return parameter.split('=', 1)[0] as string;
}
