import { bind } from '../bind.ts';
import { kernel32 } from '../dlls/kernel32.ts';
import type { Handle } from '../procedure.ts';
import type { Fields, Struct, StructValues } from '../struct.ts';

/**
 * Asks about a job.
 *
 * @param layout Of what the class of information is.
 * @param asked Fields that tell what is wanted, where the class has such.
 */
export function queryJob<F extends Fields>(
  job: Handle<'HANDLE'>,
  informationClass: number,
  layout: Struct<F>,
  asked: Partial<StructValues<F>> = {},
): StructValues<F> {
  const information = layout.encode(asked);
  const { QueryInformationJobObject } = bind(kernel32);
  QueryInformationJobObject({ job, informationClass, information, length: information.length });
  return layout.decode(information);
}

/** Changes a job; `information` may be missing where the class has none. */
export function setJob(job: Handle<'HANDLE'>, informationClass: number, information: Buffer | null): void {
  bind(kernel32).SetInformationJobObject({
    job,
    informationClass,
    information,
    length: information?.length ?? 0,
  });
}
