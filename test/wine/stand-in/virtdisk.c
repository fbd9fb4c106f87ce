/*
 * A stand-in for virtdisk.dll, because Wine's own ends the process when it is called. Its prototypes are checked
 * against mingw-w64's virtdisk.h; structures that the header has in an older form are laid out below as the pages of
 * Microsoft's virtdisk.h have them. A disk is a real file, its handle a real one that CloseHandle closes. A fixed VHD has
 * its footer checked; a VHDX has its signature, and behind that only what the other stand-ins want to know of it.
 */
#include <windows.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "ledger.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)

/* winerror.h of the Windows SDK, which mingw-w64's lacks. */
#define ERROR_VHD_DRIVE_FOOTER_MISSING 0xC03A0001
#define ERROR_VHD_DRIVE_FOOTER_CHECKSUM_MISMATCH 0xC03A0002
#define ERROR_VIRTDISK_PROVIDER_NOT_FOUND 0xC03A0014
#define ERROR_VIRTDISK_NOT_VIRTUAL_DISK 0xC03A0015

#define MIB (1024 * 1024)
#define GIB (1024ULL * MIB)

/* Of Windows 10; the header knows the flags up to 0x8. */
#define ATTACH_KNOWN_FLAGS 0x3ff
#define READ_ONLY_ACCESS (VIRTUAL_DISK_ACCESS_ATTACH_RO | VIRTUAL_DISK_ACCESS_DETACH | VIRTUAL_DISK_ACCESS_GET_INFO)

/* The header declares what it describes for those who import it. */
#pragma GCC diagnostic ignored "-Wattributes"

typedef struct {
  int Version;
  union {
    struct {
      ULONG RWDepth;
    } Version1;
    struct {
      BOOL GetInfoOnly, ReadOnly;
      GUID ResiliencyGuid;
    } Version2;
  };
} open_parameters;

typedef struct {
  int Version;
  union {
    struct {
      ULONG Reserved;
    } Version1;
    struct {
      ULONGLONG RestrictedOffset, RestrictedLength;
    } Version2;
  };
} attach_parameters;

/* As the Windows SDK has it: mingw-w64's lacks PhysicalSectorSizeInBytes. */
typedef struct {
  int Version;
  union {
    struct {
      GUID UniqueId;
      ULONGLONG MaximumSize;
      ULONG BlockSizeInBytes, SectorSizeInBytes, PhysicalSectorSizeInBytes;
      PCWSTR ParentPath, SourcePath;
      ULONG OpenFlags;
      VIRTUAL_STORAGE_TYPE ParentVirtualStorageType, SourceVirtualStorageType;
      GUID ResiliencyGuid;
    } Version2;
  };
} create_parameters;

_Static_assert(sizeof(VIRTUAL_STORAGE_TYPE) == 20, "VIRTUAL_STORAGE_TYPE");
_Static_assert(sizeof(open_parameters) == 28, "OPEN_VIRTUAL_DISK_PARAMETERS");
_Static_assert(sizeof(attach_parameters) == 24, "ATTACH_VIRTUAL_DISK_PARAMETERS");
_Static_assert(offsetof(create_parameters, Version2.ParentPath) == 48, "CREATE_VIRTUAL_DISK_PARAMETERS");
_Static_assert(sizeof(create_parameters) == 128, "CREATE_VIRTUAL_DISK_PARAMETERS");

static const GUID microsoft = {0xEC984AEC, 0xA0F9, 0x47e9, {0x90, 0x1F, 0x71, 0x41, 0x5A, 0x66, 0x34, 0x5B}};

/* What a stand-in's VHDX holds, at its start. */
typedef struct {
  char signature[8];
  ULONGLONG virtual_size;
  ULONG block_size;
  ULONG is_formatted;
  WCHAR parent[MAX_PATH];
} vhdx_file;

/* A disk that was opened or created. Whether its handle is still open is asked of the system. */
typedef struct disk {
  struct disk *next;
  HANDLE handle;
  BY_HANDLE_FILE_INFORMATION file;
  DWORD access;
  BOOL is_attached, is_permanent;
} disk;

static SRWLOCK lock = SRWLOCK_INIT;
static disk *disks;

static BOOL is_same_file(const BY_HANDLE_FILE_INFORMATION *a, const BY_HANDLE_FILE_INFORMATION *b) {
  return a->dwVolumeSerialNumber == b->dwVolumeSerialNumber && a->nFileIndexHigh == b->nFileIndexHigh &&
         a->nFileIndexLow == b->nFileIndexLow;
}

/* Drops the disks whose handles have been closed: they are detached by that, unless their attachment is permanent. */
static void sweep(void) {
  for (disk **link = &disks; *link != NULL;) {
    disk *one = *link;
    BY_HANDLE_FILE_INFORMATION now;
    if (GetFileInformationByHandle(one->handle, &now) && is_same_file(&now, &one->file)) {
      link = &one->next;
    } else if (one->is_attached && one->is_permanent) {
      one->handle = INVALID_HANDLE_VALUE;
      link = &one->next;
    } else {
      *link = one->next;
      free(one);
    }
  }
}

static disk *find_disk(HANDLE handle) {
  if (handle == NULL || handle == INVALID_HANDLE_VALUE) return NULL;
  sweep();
  for (disk *one = disks; one != NULL; one = one->next) {
    if (one->handle == handle) return one;
  }
  return NULL;
}

static disk *find_attached(const BY_HANDLE_FILE_INFORMATION *file) {
  for (disk *one = disks; one != NULL; one = one->next) {
    if (one->is_attached && is_same_file(&one->file, file)) return one;
  }
  return NULL;
}

static void give_disk(HANDLE handle, DWORD access, HANDLE *result) {
  disk *one = calloc(1, sizeof *one);
  if (one == NULL || !GetFileInformationByHandle(handle, &one->file)) abort();
  one->handle = handle;
  one->access = access;
  AcquireSRWLockExclusive(&lock);
  sweep();
  one->next = disks;
  disks = one;
  ReleaseSRWLockExclusive(&lock);
  *result = handle;
}

static BOOL has_ending(PCWSTR path, PCWSTR ending) {
  size_t length = wcslen(path), wanted = wcslen(ending);
  return length > wanted && _wcsicmp(path + length - wanted, ending) == 0;
}

/* The device of a type that leaves it open is told by the file's name. */
static DWORD resolve_type(const VIRTUAL_STORAGE_TYPE *type, PCWSTR path, ULONG *device) {
  static const GUID unknown;
  if (type == NULL || path == NULL) return ERROR_INVALID_PARAMETER;
  if (memcmp(&type->VendorId, &unknown, sizeof unknown) != 0 && memcmp(&type->VendorId, &microsoft, sizeof microsoft) != 0)
    return ERROR_VIRTDISK_PROVIDER_NOT_FOUND;
  *device = type->DeviceId;
  if (*device == VIRTUAL_STORAGE_TYPE_DEVICE_UNKNOWN && has_ending(path, L".vhdx")) *device = VIRTUAL_STORAGE_TYPE_DEVICE_VHDX;
  if (*device == VIRTUAL_STORAGE_TYPE_DEVICE_UNKNOWN && has_ending(path, L".vhd")) *device = VIRTUAL_STORAGE_TYPE_DEVICE_VHD;
  return *device == VIRTUAL_STORAGE_TYPE_DEVICE_VHD || *device == VIRTUAL_STORAGE_TYPE_DEVICE_VHDX ? ERROR_SUCCESS : ERROR_VIRTDISK_PROVIDER_NOT_FOUND;
}

static BOOL read_at(HANDLE file, ULONGLONG offset, void *bytes, DWORD count) {
  OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
  DWORD read = 0;
  return ReadFile(file, bytes, count, &read, &at) && read == count;
}

static BOOL write_at(HANDLE file, ULONGLONG offset, const void *bytes, DWORD count) {
  OVERLAPPED at = {.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
  DWORD written = 0;
  return WriteFile(file, bytes, count, &written, &at) && written == count;
}

/* The footer of a VHD: its cookie, and the complement of the sum of all bytes but its own at 64. */
static DWORD check_vhd(HANDLE file) {
  unsigned char footer[512];
  LARGE_INTEGER size;
  if (!GetFileSizeEx(file, &size)) return GetLastError();
  if (size.QuadPart < 512 || !read_at(file, (ULONGLONG)size.QuadPart - 512, footer, sizeof footer) ||
      memcmp(footer, "conectix", 8) != 0)
    return ERROR_VHD_DRIVE_FOOTER_MISSING;
  DWORD sum = 0;
  for (int i = 0; i < 512; i++) sum += i >= 64 && i < 68 ? 0 : footer[i];
  DWORD told = (DWORD)footer[64] << 24 | (DWORD)footer[65] << 16 | (DWORD)footer[66] << 8 | footer[67];
  return ~sum == told ? ERROR_SUCCESS : ERROR_VHD_DRIVE_FOOTER_CHECKSUM_MISMATCH;
}

static DWORD check_vhdx(HANDLE file) {
  char signature[8];
  return read_at(file, 0, signature, sizeof signature) && memcmp(signature, "vhdxfile", 8) == 0 ? ERROR_SUCCESS
                                                                                                 : ERROR_FILE_CORRUPT;
}

static HANDLE open_disk_file(PCWSTR path, BOOL read_only, DWORD disposition) {
  return CreateFileW(path, read_only ? GENERIC_READ : GENERIC_READ | GENERIC_WRITE,
                     FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, disposition, FILE_ATTRIBUTE_NORMAL, NULL);
}

EXPORT DWORD WINAPI OpenVirtualDisk(PVIRTUAL_STORAGE_TYPE type, PCWSTR path, VIRTUAL_DISK_ACCESS_MASK access,
                                    OPEN_VIRTUAL_DISK_FLAG flags, POPEN_VIRTUAL_DISK_PARAMETERS given, PHANDLE handle) {
  COUNTED();
  (void)flags;
  const open_parameters *parameters = (const open_parameters *)given;
  ULONG device;
  if (handle == NULL) return ERROR_INVALID_PARAMETER;
  DWORD failure = resolve_type(type, path, &device);
  if (failure != ERROR_SUCCESS) return failure;
  if (parameters != NULL && parameters->Version != 1 && parameters->Version != 2) return ERROR_INVALID_PARAMETER;
  BOOL is_version_2 = parameters != NULL && parameters->Version == 2;
  /* "This parameter must be VIRTUAL_DISK_ACCESS_NONE when Version is 2", and otherwise some right. */
  if (is_version_2 ? access != 0 : access == 0 || ((DWORD)access & ~(DWORD)VIRTUAL_DISK_ACCESS_ALL) != 0) return ERROR_INVALID_PARAMETER;
  BOOL read_only = is_version_2 && parameters->Version2.ReadOnly;
  HANDLE file = open_disk_file(path, read_only, OPEN_EXISTING);
  if (file == INVALID_HANDLE_VALUE) return GetLastError();
  failure = device == VIRTUAL_STORAGE_TYPE_DEVICE_VHD ? check_vhd(file) : check_vhdx(file);
  if (failure != ERROR_SUCCESS) {
    CloseHandle(file);
    return failure;
  }
  give_disk(file, read_only ? READ_ONLY_ACCESS : is_version_2 ? VIRTUAL_DISK_ACCESS_ALL : (DWORD)access, handle);
  return ERROR_SUCCESS;
}

/* A differencing disk has its parent's size. */
static DWORD read_parent(PCWSTR path, vhdx_file *content) {
  if (wcslen(path) >= MAX_PATH) return ERROR_FILENAME_EXCED_RANGE;
  HANDLE parent = open_disk_file(path, TRUE, OPEN_EXISTING);
  if (parent == INVALID_HANDLE_VALUE) return GetLastError();
  vhdx_file of_parent;
  DWORD failure = check_vhdx(parent);
  if (failure == ERROR_SUCCESS && !read_at(parent, 0, &of_parent, sizeof of_parent)) failure = ERROR_FILE_CORRUPT;
  CloseHandle(parent);
  if (failure != ERROR_SUCCESS) return failure;
  content->virtual_size = of_parent.virtual_size;
  content->is_formatted = of_parent.is_formatted;
  wcscpy(content->parent, path);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI CreateVirtualDisk(PVIRTUAL_STORAGE_TYPE type, PCWSTR path, VIRTUAL_DISK_ACCESS_MASK access,
                                      PSECURITY_DESCRIPTOR security, CREATE_VIRTUAL_DISK_FLAG flags, ULONG provider_flags,
                                      PCREATE_VIRTUAL_DISK_PARAMETERS given, LPOVERLAPPED overlapped, PHANDLE handle) {
  COUNTED();
  const create_parameters *parameters = (const create_parameters *)given;
  (void)security, (void)flags;
  ULONG device;
  if (handle == NULL || parameters == NULL || provider_flags != 0 || overlapped != NULL) return ERROR_INVALID_PARAMETER;
  DWORD failure = resolve_type(type, path, &device);
  if (failure != ERROR_SUCCESS) return failure;
  /* Disks of version 1 are VHDs, which no caller of this project makes through this DLL. */
  if (parameters->Version != 2 || access != 0 || device != VIRTUAL_STORAGE_TYPE_DEVICE_VHDX) return ERROR_INVALID_PARAMETER;
  ULONG block_size = parameters->Version2.BlockSizeInBytes;
  ULONGLONG size = parameters->Version2.MaximumSize;
  BOOL has_parent = parameters->Version2.ParentPath != NULL;
  if (block_size != 0 && (block_size % MIB != 0 || block_size > 256 * MIB)) return ERROR_INVALID_PARAMETER;
  if (has_parent ? size != 0 : size < 3 * MIB || size % 512 != 0 || size > 64 * 1024 * GIB) return ERROR_INVALID_PARAMETER;
  vhdx_file content = {.virtual_size = size, .block_size = block_size};
  memcpy(content.signature, "vhdxfile", 8);
  if (has_parent) failure = read_parent(parameters->Version2.ParentPath, &content);
  if (failure != ERROR_SUCCESS) return failure;
  HANDLE file = open_disk_file(path, FALSE, CREATE_NEW);
  if (file == INVALID_HANDLE_VALUE) return GetLastError();
  if (!write_at(file, 0, &content, sizeof content)) {
    failure = GetLastError();
    CloseHandle(file);
    DeleteFileW(path);
    return failure;
  }
  give_disk(file, VIRTUAL_DISK_ACCESS_ALL, handle);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI AttachVirtualDisk(HANDLE handle, PSECURITY_DESCRIPTOR security, ATTACH_VIRTUAL_DISK_FLAG flags,
                                      ULONG provider_flags, PATTACH_VIRTUAL_DISK_PARAMETERS given, LPOVERLAPPED overlapped) {
  COUNTED();
  const attach_parameters *parameters = (const attach_parameters *)given;
  (void)security;
  if (((DWORD)flags & ~(DWORD)ATTACH_KNOWN_FLAGS) != 0 || provider_flags != 0 || overlapped != NULL) return ERROR_INVALID_PARAMETER;
  if (parameters != NULL && parameters->Version != 1 && parameters->Version != 2) return ERROR_INVALID_PARAMETER;
  AcquireSRWLockExclusive(&lock);
  disk *one = find_disk(handle);
  DWORD failure = ERROR_SUCCESS;
  if (one == NULL) {
    failure = ERROR_INVALID_HANDLE;
  } else if (find_attached(&one->file) != NULL) {
    failure = ERROR_SHARING_VIOLATION;
  } else if ((one->access & (flags & ATTACH_VIRTUAL_DISK_FLAG_READ_ONLY ? VIRTUAL_DISK_ACCESS_ATTACH_RO | VIRTUAL_DISK_ACCESS_ATTACH_RW : VIRTUAL_DISK_ACCESS_ATTACH_RW)) == 0) {
    failure = ERROR_ACCESS_DENIED;
  } else {
    one->is_attached = TRUE;
    one->is_permanent = (flags & ATTACH_VIRTUAL_DISK_FLAG_PERMANENT_LIFETIME) != 0;
  }
  ReleaseSRWLockExclusive(&lock);
  return failure;
}

EXPORT DWORD WINAPI DetachVirtualDisk(HANDLE handle, DETACH_VIRTUAL_DISK_FLAG flags, ULONG provider_flags) {
  COUNTED();
  if (flags != 0 || provider_flags != 0) return ERROR_INVALID_PARAMETER;
  AcquireSRWLockExclusive(&lock);
  disk *one = find_disk(handle);
  disk *attached = one == NULL ? NULL : find_attached(&one->file);
  DWORD failure = one == NULL ? ERROR_INVALID_HANDLE : attached == NULL ? ERROR_NOT_READY : ERROR_SUCCESS;
  if (failure == ERROR_SUCCESS && (one->access & VIRTUAL_DISK_ACCESS_DETACH) == 0) failure = ERROR_ACCESS_DENIED;
  if (failure == ERROR_SUCCESS) attached->is_attached = attached->is_permanent = FALSE;
  sweep();
  ReleaseSRWLockExclusive(&lock);
  return failure;
}

/* For tests: disks whose handles are open, and those that are attached. */
EXPORT LONG StandInCountOpenDisks(void) {
  LONG count = 0;
  AcquireSRWLockExclusive(&lock);
  sweep();
  for (disk *one = disks; one != NULL; one = one->next) count += one->handle != INVALID_HANDLE_VALUE;
  ReleaseSRWLockExclusive(&lock);
  return count;
}

EXPORT LONG StandInCountAttachedDisks(void) {
  LONG count = 0;
  AcquireSRWLockExclusive(&lock);
  sweep();
  for (disk *one = disks; one != NULL; one = one->next) count += one->is_attached;
  ReleaseSRWLockExclusive(&lock);
  return count;
}

/* For the stand-in for computestorage.dll. Gives an error of Windows where the handle is none of a writable VHDX. */
EXPORT DWORD StandInDiskState(HANDLE handle, BOOL *is_attached, BOOL *is_formatted) {
  AcquireSRWLockExclusive(&lock);
  disk *one = find_disk(handle);
  if (one != NULL) *is_attached = find_attached(&one->file) != NULL;
  ReleaseSRWLockExclusive(&lock);
  if (one == NULL) return ERROR_INVALID_HANDLE;
  vhdx_file content;
  if (check_vhdx(handle) != ERROR_SUCCESS || !read_at(handle, 0, &content, sizeof content)) return ERROR_VIRTDISK_NOT_VIRTUAL_DISK;
  *is_formatted = content.is_formatted != 0;
  return ERROR_SUCCESS;
}

EXPORT DWORD StandInFormatDisk(HANDLE handle) {
  ULONG is_formatted = TRUE;
  return write_at(handle, offsetof(vhdx_file, is_formatted), &is_formatted, sizeof is_formatted) ? ERROR_SUCCESS : GetLastError();
}
