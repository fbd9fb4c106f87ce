import { bind } from '../bind.ts';
import { DllCallError } from '../dll-call-error.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import type { Handle } from '../procedure.ts';
import { jobInformation } from './constants.ts';
import { type JobNotifications, readJobMessage } from './job-notifications.ts';
import { associateCompletionPort, completionEntry } from './layouts.ts';

/**
 * The one completion port that all jobs of this process send their messages to.
 *
 * Nothing waits on it: a wait would take a thread of libuv's pool for good, and keep the process from ending. It is looked at
 * without waiting instead, soon after a message, and more and more seldom while none comes.
 */

const invalidHandle = 0xffffffffffffffffn as Handle<'HANDLE'>;
/** WAIT_TIMEOUT: the port is empty. */
const waitTimeout = 258;
/** Milliseconds between two looks. */
const soonest = 10;
const latest = 100;
const entriesAtOnce = 64;
/** Looks without a pause, so that a job which starts processes without end does not keep the event loop. */
const looksAtOnce = 16;

const queues = new Map<bigint, JobNotifications>();
let lastKey = 0n;
let port: Handle<'HANDLE'> | undefined;
let timer: NodeJS.Timeout | undefined;
let pause = soonest;

/** What a job holds of the port. Disposing of it ends its messages; the last one closes the port. */
export interface JobPortRegistration extends Disposable {
  /** Has the port looked at soon, and keeps the process alive while someone waits for a message. */
  attend(): void;
}

/** Has the messages of a job put into `queue`. A job can be registered once in its life. */
export function registerJob(job: Handle<'HANDLE'>, queue: JobNotifications): JobPortRegistration {
  const { CreateIoCompletionPort, SetInformationJobObject } = bind(kernel32);
  port ??= CreateIoCompletionPort({ file: invalidHandle, existingPort: null, key: 0n, threads: 1 });
  lastKey += 1n;
  const key = lastKey;
  queues.set(key, queue);
  const registration = {
    attend: () => lookAfter(soonest),
    [Symbol.dispose]: () => release(key),
  };
  try {
    SetInformationJobObject({
      job,
      informationClass: jobInformation.AssociateCompletionPortInformation,
      information: associateCompletionPort.encode({ completionKey: key, completionPort: port }),
      length: associateCompletionPort.size,
    });
  } catch (error) {
    registration[Symbol.dispose]();
    throw error;
  }
  lookAfter(soonest);
  return registration;
}

function release(key: bigint): void {
  queues.delete(key);
  if (queues.size > 0 || port === undefined) return;
  clearTimeout(timer);
  timer = undefined;
  bind(kernel32).CloseHandle({ object: port });
  port = undefined;
}

function lookAfter(milliseconds: number): void {
  clearTimeout(timer);
  pause = milliseconds;
  timer = setTimeout(look, milliseconds);
  if (!queues.values().some(({ isAwaited }) => isAwaited)) timer.unref();
}

function look(): void {
  let isEmpty = true;
  for (let looks = 0; looks < looksAtOnce; looks++) {
    const entries = takeEntries();
    for (const { key, overlapped, bytesTransferred } of entries) {
      const notification = readJobMessage(bytesTransferred, overlapped);
      if (notification !== undefined) queues.get(key)?.push(notification);
    }
    isEmpty &&= entries.length === 0;
    if (entries.length < entriesAtOnce) break;
  }
  lookAfter(isEmpty ? Math.min(2 * pause, latest) : soonest);
}

function takeEntries(): ReturnType<typeof completionEntry.decode>[] {
  if (port === undefined) return [];
  const entries = Buffer.alloc(entriesAtOnce * completionEntry.size);
  try {
    const { removed } = bind(kernel32).GetQueuedCompletionStatusEx({
      port,
      entries,
      count: entriesAtOnce,
      milliseconds: 0,
      alertable: false,
    });
    return Array.from({ length: removed }, (_, index) =>
      completionEntry.decode(entries.subarray(index * completionEntry.size)),
    );
  } catch (error) {
    if (error instanceof DllCallError && error.status === waitTimeout) return [];
    throw error;
  }
}
