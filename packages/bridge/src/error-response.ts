import { type GuestErrorRecord, type GuestResponseBase, HcsError } from '@hcsshim/schema';
import { wireHresult } from './wire-hresult.ts';

/** Longest message and stack in a response, in characters; several must fit into one frame. */
const longestText = 4096;

const unknownLine = 0xffffffff;

/** The response that tells a host of `error`, as upstream's guest does. What is no {@link HcsError} is E_FAIL. */
export function errorResponse(error: unknown): GuestResponseBase {
  const message = cut(error instanceof Error ? error.message : String(error));
  const result = wireHresult(error instanceof HcsError ? error.code : 'E_FAIL');
  return {
    Result: result,
    ErrorMessage: message,
    ErrorRecords: [
      { Result: result, Message: message, ...placeOf(error), ModuleName: 'gcs' } satisfies GuestErrorRecord,
    ],
  };
}

/** Where the error arose: the innermost frame of its stack. */
function placeOf(
  error: unknown,
): Pick<GuestErrorRecord, 'StackTrace' | 'FileName' | 'Line' | 'FunctionName'> {
  const stack = error instanceof Error ? error.stack : undefined;
  if (stack === undefined) return { FileName: '', Line: unknownLine };
  const frame = /^ +at (?:(?:async )?(?<name>.+) \()?(?<file>[^()]+):(?<line>\d+):\d+\)?$/m.exec(
    stack,
  )?.groups;
  return {
    StackTrace: cut(stack),
    FileName: frame?.file ?? '',
    Line: frame?.line === undefined ? unknownLine : Number(frame.line),
    ...(frame?.name === undefined ? {} : { FunctionName: frame.name }),
  };
}

function cut(text: string): string {
  return text.length > longestText ? `${text.slice(0, longestText)}…` : text;
}
