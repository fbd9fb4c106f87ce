/** What went wrong, for programs. */
export type Ext4ErrorCode =
  /** The image would be larger than allowed. */
  | 'DISK_SIZE_EXCEEDED'
  | 'FILE_TOO_BIG'
  /** More content than the size that the file was created with. */
  | 'WROTE_TOO_MUCH'
  /** Less content than the size that the file was created with. */
  | 'WROTE_TOO_LITTLE'
  | 'INVALID_MODE'
  /** An extended attribute that ext4 has no room or no name for. */
  | 'XATTR_TOO_LARGE'
  | 'INVALID_NAME'
  /** A parent is missing. */
  | 'PATH_NOT_FOUND'
  | 'FILE_NOT_FOUND'
  | 'CANNOT_REPLACE_DIRECTORY'
  | 'CANNOT_REPLACE_FILE'
  /** A directory has as many subdirectories as ext4 allows. */
  | 'PARENT_LINK_LIMIT'
  /** A link in the place of a directory would leave what is in it without a parent. */
  | 'CANNOT_ORPHAN'
  | 'LINK_TARGET_IS_DIRECTORY'
  | 'LINK_LIMIT'
  | 'INVALID_OPTION'
  /** A call out of order, such as content when no file is open. */
  | 'INVALID_STATE'
  /** An image that is damaged. */
  | 'CORRUPT'
  /** An image with features that are not known here. */
  | 'UNSUPPORTED'
  /** An archive that is damaged or ends early. */
  | 'INVALID_ARCHIVE'
  | 'INVALID_VHD'
  | 'INVALID_VERITY'
  /** More entries, or longer names, than the caller allows. */
  | 'LIMIT_EXCEEDED';

/** All errors of this package, except those of the system's own calls. */
export class Ext4Error extends Error {
  readonly code: Ext4ErrorCode;

  constructor(code: Ext4ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'Ext4Error';
    this.code = code;
  }
}
