import { HcsError } from '@hcsshim/hcs';

/** What the port has and a Linux VM cannot do, with what to do instead. */
const reasons = {
  'create a process in':
    "its processes are its guest agent's, run them through the guest connection (@hcsshim/uvm)",
  'open a process of':
    "its processes are its guest agent's, reach them through the guest connection (@hcsshim/uvm)",
  save: 'systems are not saved, pause it instead',
};

export function unsupported(verb: keyof typeof reasons, id: string): HcsError {
  return new HcsError({
    action: `Cannot ${verb} compute system "${id}"`,
    problem: reasons[verb],
    code: 'ERROR_NOT_SUPPORTED',
  });
}
