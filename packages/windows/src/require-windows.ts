/** Throws an Error in words when this is not Windows. @param what What cannot be done elsewhere, to follow "Cannot". */
export function requireWindows(what: string): void {
  if (process.platform !== 'win32')
    throw new Error(`Cannot ${what} on ${process.platform}: it needs Windows`);
}
