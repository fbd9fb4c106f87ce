import { HcsError, type HResultName } from '@hcsshim/schema';

/** What runtimes say, and what it means. The first match counts; words of crun 1.8 and runc 1.1. */
const meanings: [pattern: RegExp, code: HResultName][] = [
  [/executable file .*not found|stat .*: no such file or directory/i, 'ERROR_FILE_NOT_FOUND'],
  [/status`?: No such file or directory|container .*does not exist/i, 'HCS_E_SYSTEM_NOT_FOUND'],
  [/already exists|with given ID already exists/i, 'HCS_E_SYSTEM_ALREADY_EXISTS'],
  [
    /is not running|not in running state|cannot exec.*stopped|process already finished|No such process/i,
    'HCS_E_SYSTEM_ALREADY_STOPPED',
  ],
  [/permission denied/i, 'E_ACCESSDENIED'],
  [/no such file or directory/i, 'ERROR_FILE_NOT_FOUND'],
  [/cannot unmarshal|parse error|is not valid/i, 'E_INVALIDARG'],
];

/** The last error in a runtime's log (`--log-format json`, one object a line), or undefined. */
export function lastError(log: string): string | undefined {
  for (const line of log.trimEnd().split('\n').reverse()) {
    try {
      const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
      if (level === 'error' && typeof msg === 'string') return msg;
    } catch {
      // A line that is cut short says nothing.
    }
  }
  return undefined;
}

/**
 * A runtime's failure in words.
 *
 * @param action What was being done: `Cannot start container "x"`.
 * @param log The runtime's log of this call.
 * @param ending How the runtime itself ended, for when it logged nothing.
 */
export function runtimeError(action: string, log: string, ending: string): HcsError {
  const message = lastError(log);
  if (message === undefined) {
    return new HcsError({ action, problem: `the OCI runtime ${ending} and gave no reason`, code: 'E_FAIL' });
  }
  const code = meanings.find(([pattern]) => pattern.test(message))?.[1] ?? 'E_FAIL';
  return new HcsError({ action, problem: message.replaceAll('`', '"'), code });
}
