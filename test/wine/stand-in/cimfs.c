/*
 * A stand-in for cimfs.dll, with the prototypes and the structure of Microsoft's cimfs.h, which mingw-w64 does not have. An
 * image is kept as a text file, a line for each entry, in the folder of the image: a test can read what was written.
 */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include "handle-table.h"
#include "ledger.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)

typedef HANDLE CIMFS_IMAGE_HANDLE;
typedef HANDLE CIMFS_STREAM_HANDLE;

typedef struct {
  UINT32 Attributes;
  INT64 FileSize;
  LARGE_INTEGER CreationTime, LastWriteTime, ChangeTime, LastAccessTime;
  const void *SecurityDescriptorBuffer;
  UINT32 SecurityDescriptorSize;
  const void *ReparseDataBuffer;
  UINT32 ReparseDataSize;
  const void *EaBuffer;
  UINT32 EaBufferSize;
} CIMFS_FILE_METADATA;

_Static_assert(sizeof(CIMFS_FILE_METADATA) == 96, "CIMFS_FILE_METADATA");

enum { IMAGE, STREAM };

/* `CIM_MOUNT_FLAGS`: none, children only, direct access (DAX), and caching, as far as they are known. */
#define KNOWN_MOUNT_FLAGS 0x1f

typedef struct cim_entry {
  struct cim_entry *next;
  PWSTR path;
  UINT32 attributes;
  UINT64 size, written;
  /* Sum of all bytes: enough to see that they came, and whole. */
  UINT64 sum;
  UINT32 security_size, reparse_size, ea_size;
  /* What a hard link is one of. */
  PWSTR target;
} cim_entry;

typedef struct {
  PWSTR folder, name;
  cim_entry *entries;
  int open_streams;
  /* A file got fewer bytes than it was said to have. */
  BOOL is_short;
} image;

typedef struct {
  image *of;
  cim_entry *entry;
} stream;

static PWSTR copy_text(PCWSTR text) {
  PWSTR copy = _wcsdup(text);
  if (copy == NULL) abort();
  return copy;
}

static cim_entry *find_entry(image *in, PCWSTR path) {
  for (cim_entry *one = in->entries; one != NULL; one = one->next) {
    if (_wcsicmp(one->path, path) == 0) return one;
  }
  return NULL;
}

static cim_entry *add_entry(image *to, PCWSTR path) {
  cim_entry *one = calloc(1, sizeof *one);
  if (one == NULL) abort();
  one->path = copy_text(path);
  cim_entry **link = &to->entries;
  while (*link != NULL) link = &(*link)->next;
  *link = one;
  return one;
}

static void free_entry(cim_entry *one) {
  free(one->path);
  free(one->target);
  free(one);
}

static void free_image(image *one) {
  while (one->entries != NULL) {
    cim_entry *entry = one->entries;
    one->entries = entry->next;
    free_entry(entry);
  }
  free(one->folder);
  free(one->name);
  free(one);
}

static PWSTR image_file(PCWSTR folder, PCWSTR name) {
  PWSTR path = calloc(wcslen(folder) + wcslen(name) + 2, sizeof *path);
  if (path == NULL) abort();
  return wcscat(wcscat(wcscpy(path, folder), L"\\"), name);
}

#define HEADER L"stand-in cim\n"
#define LINE_OUT L"%ls\t%u\t%llu\t%llu\t%u\t%u\t%u\t%ls\n"
#define LINE_IN L"%1023l[^\t]\t%u\t%llu\t%llu\t%u\t%u\t%u\t%1023l[^\n]\n"

static HRESULT load_image(image *into, PCWSTR name) {
  PWSTR path = image_file(into->folder, name);
  FILE *file = _wfopen(path, L"rt, ccs=UTF-8");
  free(path);
  if (file == NULL) return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
  WCHAR header[32], entry_path[1024], target[1024];
  cim_entry read = {0};
  HRESULT result = fgetws(header, 32, file) != NULL && wcscmp(header, HEADER) == 0 ? S_OK : HRESULT_FROM_WIN32(ERROR_FILE_CORRUPT);
  while (SUCCEEDED(result) && fwscanf(file, LINE_IN, entry_path, &read.attributes, &read.size, &read.sum, &read.security_size,
                                      &read.reparse_size, &read.ea_size, target) == 8) {
    cim_entry *one = add_entry(into, entry_path);
    one->attributes = read.attributes;
    one->size = one->written = read.size;
    one->sum = read.sum;
    one->security_size = read.security_size;
    one->reparse_size = read.reparse_size;
    one->ea_size = read.ea_size;
    if (wcscmp(target, L"-") != 0) one->target = copy_text(target);
  }
  fclose(file);
  return result;
}

static HRESULT save_image(image *from) {
  PWSTR path = image_file(from->folder, from->name);
  FILE *file = _wfopen(path, L"wt, ccs=UTF-8");
  free(path);
  if (file == NULL) return HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED);
  fwprintf(file, L"%ls", HEADER);
  for (cim_entry *one = from->entries; one != NULL; one = one->next) {
    fwprintf(file, LINE_OUT, one->path, one->attributes, one->size, one->sum, one->security_size, one->reparse_size,
             one->ea_size, one->target != NULL ? one->target : L"-");
  }
  return fclose(file) == 0 ? S_OK : E_FAIL;
}

/* Entries are named from the root, without a separator at either end, and below a directory that is there. */
static HRESULT check_path(image *in, PCWSTR path) {
  if (path == NULL || *path == 0 || *path == '\\' || path[wcslen(path) - 1] == '\\' || wcspbrk(path, L"/\t\n") != NULL)
    return E_INVALIDARG;
  PCWSTR last = wcsrchr(path, '\\');
  if (last == NULL) return S_OK;
  PWSTR parent_path = copy_text(path);
  parent_path[last - path] = 0;
  cim_entry *parent = find_entry(in, parent_path);
  free(parent_path);
  BOOL is_directory = parent != NULL && (parent->attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
  return is_directory ? S_OK : HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND);
}

static CIMFS_STREAM_HANDLE give_stream(image *of, cim_entry *entry) {
  stream *one = malloc(sizeof *one);
  if (one == NULL) abort();
  *one = (stream){of, entry};
  of->open_streams++;
  return give_handle(one, STREAM);
}

#define IMAGE_OR_RETURN(handle)         \
  image *of = object_of(handle, IMAGE); \
  if (of == NULL) return HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE)

#define TRY(call)                      \
  do {                                 \
    HRESULT failed = (call);           \
    if (FAILED(failed)) return failed; \
  } while (0)

/* Writing images */

EXPORT HRESULT WINAPI CimCreateImage(PCWSTR imagePath, PCWSTR oldFSName, PCWSTR newFSName, CIMFS_IMAGE_HANDLE *imageHandle) {
  COUNTED();
  if (imageHandle == NULL || imagePath == NULL || (oldFSName == NULL && newFSName == NULL)) return E_INVALIDARG;
  DWORD attributes = GetFileAttributesW(imagePath);
  if (attributes == INVALID_FILE_ATTRIBUTES) return HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND);
  image *one = calloc(1, sizeof *one);
  if (one == NULL) abort();
  one->folder = copy_text(imagePath);
  one->name = copy_text(newFSName != NULL ? newFSName : oldFSName);
  HRESULT result = oldFSName == NULL ? S_OK : load_image(one, oldFSName);
  if (FAILED(result)) {
    free_image(one);
    return result;
  }
  *imageHandle = give_handle(one, IMAGE);
  return S_OK;
}

EXPORT void WINAPI CimCloseImage(CIMFS_IMAGE_HANDLE imageHandle) {
  COUNTED();
  image *one = take_handle(imageHandle, IMAGE);
  if (one != NULL) free_image(one);
}

EXPORT HRESULT WINAPI CimCommitImage(CIMFS_IMAGE_HANDLE imageHandle) {
  COUNTED();
  IMAGE_OR_RETURN(imageHandle);
  if (of->open_streams > 0) return HRESULT_FROM_WIN32(ERROR_BUSY);
  return of->is_short ? HRESULT_FROM_WIN32(ERROR_HANDLE_EOF) : save_image(of);
}

EXPORT HRESULT WINAPI CimCreateFile(CIMFS_IMAGE_HANDLE imageHandle, PCWSTR path, const CIMFS_FILE_METADATA *metadata,
                                    CIMFS_STREAM_HANDLE *streamHandle) {
  COUNTED();
  IMAGE_OR_RETURN(imageHandle);
  if (metadata == NULL || streamHandle == NULL || metadata->FileSize < 0) return E_INVALIDARG;
  if ((metadata->SecurityDescriptorBuffer == NULL) != (metadata->SecurityDescriptorSize == 0)) return E_INVALIDARG;
  if ((metadata->ReparseDataBuffer == NULL) != (metadata->ReparseDataSize == 0)) return E_INVALIDARG;
  if ((metadata->EaBuffer == NULL) != (metadata->EaBufferSize == 0)) return E_INVALIDARG;
  BOOL is_directory = (metadata->Attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
  if (is_directory && metadata->FileSize != 0) return E_INVALIDARG;
  TRY(check_path(of, path));
  cim_entry *one = find_entry(of, path);
  if (one == NULL) one = add_entry(of, path);
  one->attributes = metadata->Attributes;
  one->size = (UINT64)metadata->FileSize;
  one->written = one->sum = 0;
  one->security_size = metadata->SecurityDescriptorSize;
  one->reparse_size = metadata->ReparseDataSize;
  one->ea_size = metadata->EaBufferSize;
  *streamHandle = give_stream(of, one);
  return S_OK;
}

EXPORT HRESULT WINAPI CimCreateAlternateStream(CIMFS_IMAGE_HANDLE imageHandle, PCWSTR path, UINT64 size,
                                               CIMFS_STREAM_HANDLE *streamHandle) {
  COUNTED();
  IMAGE_OR_RETURN(imageHandle);
  PCWSTR colon = path == NULL ? NULL : wcschr(path, ':');
  if (colon == NULL || colon[1] == 0 || streamHandle == NULL) return E_INVALIDARG;
  PWSTR file = copy_text(path);
  file[colon - path] = 0;
  cim_entry *base = find_entry(of, file);
  free(file);
  if (base == NULL) return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
  cim_entry *one = add_entry(of, path);
  one->size = size;
  *streamHandle = give_stream(of, one);
  return S_OK;
}

EXPORT HRESULT WINAPI CimWriteStream(CIMFS_STREAM_HANDLE streamHandle, const void *buffer, UINT32 bufferSize) {
  COUNTED();
  stream *to = object_of(streamHandle, STREAM);
  if (to == NULL) return HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
  if (buffer == NULL && bufferSize > 0) return E_POINTER;
  if (bufferSize > to->entry->size - to->entry->written) return E_INVALIDARG;
  for (UINT32 i = 0; i < bufferSize; i++) to->entry->sum += ((const unsigned char *)buffer)[i];
  to->entry->written += bufferSize;
  return S_OK;
}

EXPORT HRESULT WINAPI CimCloseStream(CIMFS_STREAM_HANDLE streamHandle) {
  COUNTED();
  stream *one = take_handle(streamHandle, STREAM);
  if (one == NULL) return HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
  /* Windows tells of this later, not here. */
  if (one->entry->written < one->entry->size) one->of->is_short = TRUE;
  one->of->open_streams--;
  free(one);
  return S_OK;
}

EXPORT HRESULT WINAPI CimCreateHardLink(CIMFS_IMAGE_HANDLE imageHandle, PCWSTR newPath, PCWSTR oldPath) {
  COUNTED();
  IMAGE_OR_RETURN(imageHandle);
  if (oldPath == NULL) return E_INVALIDARG;
  TRY(check_path(of, newPath));
  cim_entry *target = find_entry(of, oldPath);
  if (target == NULL) return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
  if (target->attributes & FILE_ATTRIBUTE_DIRECTORY) return HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED);
  if (find_entry(of, newPath) != NULL) return HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS);
  cim_entry *one = add_entry(of, newPath);
  one->attributes = target->attributes;
  one->size = one->written = target->size;
  one->sum = target->sum;
  one->target = copy_text(oldPath);
  return S_OK;
}

EXPORT HRESULT WINAPI CimDeletePath(CIMFS_IMAGE_HANDLE imageHandle, PCWSTR path) {
  COUNTED();
  IMAGE_OR_RETURN(imageHandle);
  if (path == NULL) return E_INVALIDARG;
  size_t length = wcslen(path);
  BOOL was_there = FALSE;
  for (cim_entry **link = &of->entries; *link != NULL;) {
    cim_entry *one = *link;
    BOOL is_it = _wcsnicmp(one->path, path, length) == 0 && (one->path[length] == 0 || one->path[length] == '\\' || one->path[length] == ':');
    if (!is_it) {
      link = &one->next;
      continue;
    }
    *link = one->next;
    free_entry(one);
    was_there = TRUE;
  }
  return was_there ? S_OK : HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
}

/* Mounts: the volumes are in the ledger as handles. */

typedef struct mount {
  struct mount *next;
  GUID volume;
} mount;

static SRWLOCK lock = SRWLOCK_INIT;
static mount *mounts;

static mount **find_mount(const GUID *volume) {
  mount **link = &mounts;
  while (*link != NULL && memcmp(&(*link)->volume, volume, sizeof *volume) != 0) link = &(*link)->next;
  return link;
}

EXPORT HRESULT WINAPI CimMountImage(PCWSTR imagePath, PCWSTR fileSystemName, ULONG flags, const GUID *volumeId) {
  COUNTED();
  if (imagePath == NULL || fileSystemName == NULL || volumeId == NULL || (flags & ~(ULONG)KNOWN_MOUNT_FLAGS) != 0)
    return E_INVALIDARG;
  PWSTR path = image_file(imagePath, fileSystemName);
  BOOL is_there = GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
  free(path);
  if (!is_there) return HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
  AcquireSRWLockExclusive(&lock);
  BOOL is_new = *find_mount(volumeId) == NULL;
  if (is_new) {
    mount *one = malloc(sizeof *one);
    if (one == NULL) abort();
    *one = (mount){mounts, *volumeId};
    mounts = one;
    ledger_handle_opened();
  }
  ReleaseSRWLockExclusive(&lock);
  return is_new ? S_OK : HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS);
}

EXPORT HRESULT WINAPI CimDismountImage(const GUID *volumeId) {
  COUNTED();
  if (volumeId == NULL) return E_INVALIDARG;
  AcquireSRWLockExclusive(&lock);
  mount **link = find_mount(volumeId);
  mount *one = *link;
  if (one != NULL) {
    *link = one->next;
    free(one);
    ledger_handle_closed();
  }
  ReleaseSRWLockExclusive(&lock);
  return one != NULL ? S_OK : HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
}
