/** Numbers that callers of upstream's `hcsshim` package compare with. Its Windows codes are in `HResult`. */

/** The exit code of a process of which only is known that it could not be run. */
export const waitErrExecFailed = 32767;

/** A timeout of this many milliseconds, as Windows counts them, never passes. Here an absent `signal` says so. */
export const timeoutInfinite = 0xffffffff;
