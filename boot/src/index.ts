export { type BootFiles, type BootFilesOptions, ensureBootFiles } from './boot-files.ts';
