import type {
  ComputeApi,
  ComputeCall,
  ProcessHandle,
  ProcessInformation,
  SystemHandle,
  SystemOperation,
} from '@hcsshim/windows';
import { parseAnswer, type RunningCall } from './service-call.ts';

export type SystemCallName = SystemOperation;

/**
 * The calls of the Host Compute Service, by whichever DLL, each with its document as text. All that is decided
 * about them, before and after, is elsewhere. Results are parsed JSON, undefined where there is none.
 */
export function callSystem(
  call: RunningCall,
  system: SystemHandle,
  name: SystemCallName,
  options: string | null = null,
): Promise<unknown> {
  return answerOf(call, (api, running) => api.operateSystem(system, name, options, running));
}

export function getSystemProperties(
  call: RunningCall,
  system: SystemHandle,
  query: string | null,
): Promise<unknown> {
  return answerOf(call, (api, running) => api.systemProperties(system, query, running));
}

export function modifySystem(
  call: RunningCall,
  system: SystemHandle,
  configuration: string,
): Promise<unknown> {
  return answerOf(call, (api, running) => api.modifySystem(system, configuration, running));
}

export function enumerateSystems(call: RunningCall, query: string): Promise<unknown> {
  return answerOf(call, (api, running) => api.enumerateSystems(query, running));
}

export function signalProcess(
  call: RunningCall,
  process: ProcessHandle,
  options: string | null,
): Promise<unknown> {
  return answerOf(call, (api, running) => api.signalProcess(process, options, running));
}

export function terminateProcess(call: RunningCall, process: ProcessHandle): Promise<unknown> {
  return answerOf(call, (api, running) => api.terminateProcess(process, running));
}

export function getProcessProperties(call: RunningCall, process: ProcessHandle): Promise<unknown> {
  return answerOf(call, (api, running) => api.processProperties(process, running));
}

export function modifyProcess(call: RunningCall, process: ProcessHandle, settings: string): Promise<unknown> {
  return answerOf(call, (api, running) => api.modifyProcess(process, settings, running));
}

/** The pipes are new ones with each call, and the caller's. */
export function getProcessInformation(
  call: RunningCall,
  process: ProcessHandle,
): Promise<ProcessInformation> {
  return call.api.processInformation(process, computeCall(call));
}

export function getServiceProperties(call: RunningCall, query: string): Promise<unknown> {
  return answerOf(call, (api, running) => api.serviceProperties(query, running));
}

export function modifyServiceSettings(call: RunningCall, settings: string): Promise<unknown> {
  return answerOf(call, (api, running) => api.modifyService(settings, running));
}

/** What a call within a `serviceCall` takes; its signal has the deadline. */
export function computeCall({ action, deadline }: RunningCall): ComputeCall {
  return { action, timeout: Number.POSITIVE_INFINITY, signal: deadline };
}

async function answerOf(
  call: RunningCall,
  run: (api: ComputeApi, running: ComputeCall) => Promise<string | null>,
): Promise<unknown> {
  const text = await run(call.api, computeCall(call));
  call.deadline.throwIfAborted();
  return parseAnswer(call.action, text);
}
