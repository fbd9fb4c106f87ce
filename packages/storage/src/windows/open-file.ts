import { bind, DllCallError, type Handle, kernel32, ntdll, type OwnedHandle } from '@hcsshim/windows';
import {
  basicInfo,
  type DirectoryEntry,
  decodeDirectoryEntries,
  type FileBasicInfo,
  type FileLinkInfo,
  idInfo,
  standardInfo,
} from './file-information.ts';

/** `FILE_INFO_BY_HANDLE_CLASS` (minwinbase.h). */
const queries = { basic: 0, standard: 1, fullDirectory: 14, fullDirectoryRestart: 15, id: 18 } as const;
/** `FILE_INFORMATION_CLASS` of `NtSetInformationFile` (ntifs.h). */
const settings = { basic: 4, link: 11, disposition: 13 } as const;

const errorNoMoreFiles = 18;
const errorHandleEof = 38;

/** Room for the entries of a directory that one call gives. */
const listBytes = 64 * 1024;

/** A file or directory that is open, which {@link RootDirectory.open} gives. It owns the handle. */
export class OpenFile implements AsyncDisposable {
  /** Where it is, for messages. */
  readonly path: string;
  readonly #handle: OwnedHandle<'HANDLE'>;

  constructor(path: string, handle: OwnedHandle<'HANDLE'>) {
    this.path = path;
    this.#handle = handle;
  }

  /** Lends the handle to one call. */
  use<T>(call: (handle: Handle<'HANDLE'>) => T): Promise<Awaited<T>> {
    return this.#handle.use(call);
  }

  async basicInfo(): Promise<FileBasicInfo> {
    return basicInfo.decode(await this.#query(queries.basic, basicInfo.size));
  }

  /** Sets times and attributes; those that are 0 stay as they are. */
  async setBasicInfo(info: Partial<FileBasicInfo>): Promise<void> {
    await this.#set(settings.basic, basicInfo.encode(info));
  }

  /** In bytes; 0 for a directory. */
  async size(): Promise<bigint> {
    const { endOfFile, directory } = standardInfo.decode(
      await this.#query(queries.standard, standardInfo.size),
    );
    return directory === 0 ? endOfFile : 0n;
  }

  async linkInfo(): Promise<FileLinkInfo> {
    const { numberOfLinks } = standardInfo.decode(await this.#query(queries.standard, standardInfo.size));
    const { volumeSerialNumber, low, high } = idInfo.decode(await this.#query(queries.id, idInfo.size));
    return { links: numberOfLinks, volumeSerialNumber, fileId: (high << 64n) | low };
  }

  /** What is in a directory, in no order. */
  async list(deadline: AbortSignal): Promise<DirectoryEntry[]> {
    const buffer = Buffer.alloc(listBytes);
    const entries: DirectoryEntry[] = [];
    for (let query: number = queries.fullDirectoryRestart; ; query = queries.fullDirectory) {
      deadline.throwIfAborted();
      try {
        await this.#queryInto(query, buffer);
      } catch (error) {
        if (error instanceof DllCallError && error.status === errorNoMoreFiles) return entries;
        throw error;
      }
      for (const entry of decodeDirectoryEntries(buffer)) entries.push(entry);
    }
  }

  /** Reads bytes from an offset. Gives fewer at the end of the file only, and none behind it. */
  async read(buffer: Buffer, offset: bigint): Promise<number> {
    for (let filled = 0; ; ) {
      const piece = buffer.subarray(filled);
      if (piece.length === 0) return filled;
      const bytesRead = await this.#readOnce(piece, offset + BigInt(filled));
      if (bytesRead === 0) return filled;
      filled += bytesRead;
    }
  }

  async write(bytes: Uint8Array, offset: bigint): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      const buffer = bytes.subarray(written);
      const { bytesWritten } = await this.#handle.use((file) =>
        bind(kernel32).WriteFile({
          file,
          buffer,
          length: buffer.length,
          overlapped: overlapped(offset + BigInt(written)),
        }),
      );
      written += bytesWritten;
    }
  }

  /** Gives the file another name. @param information As from `linkInformation`. */
  async link(information: Buffer): Promise<void> {
    await this.#set(settings.link, information);
  }

  /** Has it removed when it is closed. */
  async removeOnClose(): Promise<void> {
    await this.#set(settings.disposition, Buffer.from([1]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  async #query(informationClass: number, size: number): Promise<Buffer> {
    const information = Buffer.alloc(size);
    await this.#queryInto(informationClass, information);
    return information;
  }

  async #queryInto(informationClass: number, information: Buffer): Promise<void> {
    await this.#handle.use((file) =>
      bind(kernel32).GetFileInformationByHandleEx({
        file,
        informationClass,
        information,
        length: information.length,
      }),
    );
  }

  async #set(informationClass: number, information: Buffer): Promise<void> {
    await this.#handle.use((file) =>
      bind(ntdll).NtSetInformationFile({
        file,
        ioStatusBlock: Buffer.alloc(16),
        information,
        length: information.length,
        informationClass,
      }),
    );
  }

  async #readOnce(buffer: Buffer, offset: bigint): Promise<number> {
    try {
      const { bytesRead } = await this.#handle.use((file) =>
        bind(kernel32).ReadFile({ file, buffer, length: buffer.length, overlapped: overlapped(offset) }),
      );
      return bytesRead;
    } catch (error) {
      if (error instanceof DllCallError && error.status === errorHandleEof) return 0;
      throw error;
    }
  }
}

/** `OVERLAPPED` (minwinbase.h), which for a handle whose calls wait is no more than the offset in the file, at 16. */
function overlapped(offset: bigint): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeBigUInt64LE(offset, 16);
  return bytes;
}
