import type { FileBasicInfo } from './file-information.ts';
import type { OpenFile } from './open-file.ts';

/** Something that a layer has, or deletes from its parents. */
export interface FoundEntry {
  path: string;
  isDirectory: boolean;
  /** @default false */
  isDeletion?: boolean;
}

export interface OpenedEntry {
  file: OpenFile;
  info: FileBasicInfo;
  /** Bytes of its data. */
  size: bigint;
  /** Its backup stream. Must be ended before the file is closed. */
  bytes: AsyncGenerator<Buffer, void>;
}

/** Where a reader gets a layer from. */
export interface LayerFiles extends AsyncDisposable {
  find(signal: AbortSignal): AsyncGenerator<FoundEntry, void>;
  /** Not for deletions. The caller owns what it gets. */
  open(found: FoundEntry, signal: AbortSignal): Promise<OpenedEntry>;
}
