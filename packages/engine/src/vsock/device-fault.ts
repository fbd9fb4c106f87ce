/**
 * The guest or its monitor broke the rules of the device: an address outside the guest's memory, a ring that loops, a
 * message of the wrong size. The device stops and all its streams are reset; the process goes on.
 */
export class DeviceFault extends Error {
  readonly code = 'EPROTO';

  constructor(message: string) {
    super(message);
    this.name = 'DeviceFault';
  }
}
