export { type JobMessage, jobMessages } from './constants.ts';
export type { JobNotification } from './job-notifications.ts';
export { type CreateJobOptions, JobObject, type OpenJobOptions } from './job-object.ts';
export { JobObjectError, type JobObjectErrorCode } from './job-object-error.ts';
export type { CpuLimit, GroupAffinity, IoLimits, JobLimits } from './limits.ts';
