export {
  FileInput,
  FileOutput,
  MemoryStorage,
  type SeekableInput,
  type SeekableOutput,
} from './byte-storage.ts';
export { Ext4Error, type Ext4ErrorCode } from './ext4-error.ts';
export {
  type Ext4Image,
  Ext4Writer,
  type Ext4WriterOptions,
  type FileStatus,
  type NewFile,
} from './ext4-writer.ts';
export {
  type FileAttributes,
  type FileTime,
  type FileType,
  nanosecondsOf,
  timeFromNanoseconds,
} from './layout.ts';
export type { PathEncoding } from './path-name.ts';
