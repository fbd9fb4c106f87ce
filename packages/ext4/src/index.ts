export {
  FileInput,
  FileOutput,
  fileChunks,
  MemoryStorage,
  type SeekableInput,
  type SeekableOutput,
} from './byte-storage.ts';
export { type ByteSource, decompress, isCompressed } from './decompress.ts';
export type { DirectoryEntry } from './directory.ts';
export { type DirectoryToExt4Options, directoryToExt4 } from './directory-to-ext4.ts';
export { Ext4Error, type Ext4ErrorCode } from './ext4-error.ts';
export {
  type ContentPiece,
  type DataRange,
  Ext4Reader,
  type Ext4ReaderOptions,
  type WalkEntry,
} from './ext4-reader.ts';
export { type Ext4ToTarOptions, ext4ToTar } from './ext4-to-tar.ts';
export { type Ext4Image, Ext4Writer, type Ext4WriterOptions, type NewFile } from './ext4-writer.ts';
export {
  type FileAttributes,
  type FileStatus,
  type FileTime,
  type FileType,
  nanosecondsOf,
  timeFromNanoseconds,
} from './layout.ts';
export type { PathEncoding } from './path-name.ts';
export { readSuperblock, type Superblock } from './superblock.ts';
export { type TarConsumer, TarDecoder, type TarEntry, type TarEntryType } from './tar-decoder.ts';
export { type NewTarEntry, TarEncoder, type TarPart } from './tar-encoder.ts';
export { type TarToExt4Options, tarToExt4 } from './tar-to-ext4.ts';
export {
  readVerity,
  type VerityOptions,
  type VeritySuperblock,
  type VerityTree,
  verifyVerityTree,
  verityRootHash,
  writeVerityTree,
} from './verity.ts';
export {
  appendVhdFooter,
  decodeVhdFooter,
  encodeVhdFooter,
  readVhdFooter,
  type VhdFooter,
  vhdFooterLength,
} from './vhd.ts';
