/*
 * BackupRead and BackupWrite, which Wine 8 exports and does not have, as the pages of these two on learn.microsoft.com describe them.
 * A file's data are in the file. File systems of Wine have no room for the rest (rights, extended attributes, alternate streams, reparse
 * points): it is kept in memory, for as long as the file is there that it was written to, and given back as it came.
 */
/* Or the headers would have both imported from kernel32.dll. */
#define _KERNEL32_
#include <windows.h>

#include <stdlib.h>
#include "ledger.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)

/* WIN32_STREAM_ID without its name, and without the padding behind it. */
#define HEADER_BYTES 20
#define MAX_NAME_BYTES (2 * 32767)
#define MAX_KEPT_BYTES (1024 * 1024)

typedef struct {
  BYTE *bytes;
  size_t length;
} block;

typedef struct kept_file {
  struct kept_file *next;
  DWORD volume, index_high, index_low;
  WCHAR path[2048];
  /* Whole streams, with their headers: rights first, which only some ask for. */
  block security, others;
} kept_file;

typedef struct {
  BOOL is_read;
  HANDLE file;
  /* Of a read: what is before the data, and after it. */
  block before, after;
  size_t before_given, after_given;
  UINT64 data_left;
  /* Of a write: the header that has come so far, and what is left of its stream. */
  block header;
  UINT64 stream_left;
} backup_context;

static SRWLOCK lock = SRWLOCK_INIT;
static kept_file *kept;

static BOOL fail(DWORD error) {
  SetLastError(error);
  return FALSE;
}

static void append(block *to, const void *bytes, size_t length) {
  if (length == 0) return;
  to->bytes = realloc(to->bytes, to->length + length);
  if (to->bytes == NULL) abort();
  memcpy(to->bytes + to->length, bytes, length);
  to->length += length;
}

static void clear(block *one) {
  free(one->bytes);
  *one = (block){0};
}

static BOOL is_of(const kept_file *one, HANDLE file) {
  BY_HANDLE_FILE_INFORMATION is;
  return GetFileInformationByHandle(file, &is) && is.dwVolumeSerialNumber == one->volume &&
         is.nFileIndexHigh == one->index_high && is.nFileIndexLow == one->index_low;
}

/* A new file may have got the number of one that is gone. */
static BOOL is_there(const kept_file *one) {
  HANDLE file = CreateFileW(one->path, FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                            OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
  if (file == INVALID_HANDLE_VALUE) return FALSE;
  BOOL is = is_of(one, file);
  CloseHandle(file);
  return is;
}

/* With the lock held. */
static kept_file *find_kept(HANDLE file) {
  for (kept_file **at = &kept; *at != NULL;) {
    kept_file *one = *at;
    if (!is_of(one, file)) {
      at = &one->next;
      continue;
    }
    if (is_there(one)) return one;
    *at = one->next;
    clear(&one->security);
    clear(&one->others);
    free(one);
  }
  return NULL;
}

static kept_file *make_kept(HANDLE file) {
  kept_file *one = find_kept(file);
  if (one != NULL) return one;
  BY_HANDLE_FILE_INFORMATION is;
  one = calloc(1, sizeof *one);
  if (one == NULL) abort();
  if (!GetFileInformationByHandle(file, &is) ||
      GetFinalPathNameByHandleW(file, one->path, sizeof one->path / sizeof *one->path, 0) == 0) {
    free(one);
    return NULL;
  }
  one->volume = is.dwVolumeSerialNumber;
  one->index_high = is.nFileIndexHigh;
  one->index_low = is.nFileIndexLow;
  one->next = kept;
  kept = one;
  return one;
}

static backup_context *begin(HANDLE file, BOOL is_read, BOOL security) {
  BY_HANDLE_FILE_INFORMATION is;
  if (!GetFileInformationByHandle(file, &is)) return NULL;
  backup_context *context = calloc(1, sizeof *context);
  if (context == NULL) abort();
  context->is_read = is_read;
  context->file = file;
  AcquireSRWLockExclusive(&lock);
  kept_file *one = find_kept(file);
  if (one != NULL && is_read) {
    if (security) append(&context->before, one->security.bytes, one->security.length);
    append(&context->after, one->others.bytes, one->others.length);
  } else if (one != NULL) {
    if (security) clear(&one->security);
    clear(&one->others);
  }
  ReleaseSRWLockExclusive(&lock);
  UINT64 size = (UINT64)is.nFileSizeHigh << 32 | is.nFileSizeLow;
  if (is_read && !(is.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) && size > 0) {
    DWORD fixed[5] = {BACKUP_DATA, 0, (DWORD)size, (DWORD)(size >> 32), 0};
    append(&context->before, fixed, sizeof fixed);
    context->data_left = size;
  }
  ledger_handle_opened();
  return context;
}

/* The last call: frees what the others have kept. */
static BOOL end(LPVOID *context) {
  backup_context *one = *context;
  if (one == NULL) return TRUE;
  clear(&one->before);
  clear(&one->after);
  clear(&one->header);
  free(one);
  *context = NULL;
  ledger_handle_closed();
  return TRUE;
}

static DWORD take(const block *from, size_t *given, BYTE *buffer, DWORD length) {
  DWORD count = from->length - *given < length ? (DWORD)(from->length - *given) : length;
  if (count > 0) memcpy(buffer, from->bytes + *given, count);
  *given += count;
  return count;
}

EXPORT BOOL WINAPI BackupRead(HANDLE file, LPBYTE buffer, DWORD length, LPDWORD bytes_read, BOOL abort_now, BOOL security,
                              LPVOID *context) {
  COUNTED();
  if (context == NULL) return fail(ERROR_INVALID_PARAMETER);
  if (abort_now) return end(context);
  if (buffer == NULL || bytes_read == NULL) return fail(ERROR_INVALID_PARAMETER);
  if (*context == NULL && (*context = begin(file, TRUE, security)) == NULL) return FALSE;
  backup_context *one = *context;
  if (!one->is_read || one->file != file) return fail(ERROR_INVALID_PARAMETER);
  DWORD filled = take(&one->before, &one->before_given, buffer, length);
  while (filled < length && one->data_left > 0) {
    DWORD wanted = one->data_left < length - filled ? (DWORD)one->data_left : length - filled, count = 0;
    if (!ReadFile(file, buffer + filled, wanted, &count, NULL)) return FALSE;
    if (count == 0) return fail(ERROR_HANDLE_EOF);
    filled += count;
    one->data_left -= count;
  }
  if (one->data_left == 0) filled += take(&one->after, &one->after_given, buffer + filled, length - filled);
  *bytes_read = filled;
  return TRUE;
}

static DWORD name_bytes(const backup_context *one) {
  DWORD bytes = 0;
  if (one->header.length >= HEADER_BYTES) memcpy(&bytes, one->header.bytes + 16, sizeof bytes);
  return bytes;
}

static DWORD stream_id(const backup_context *one) {
  DWORD id;
  memcpy(&id, one->header.bytes, sizeof id);
  return id;
}

/* The header is whole: 0, or why no stream can begin with it. */
static DWORD begin_stream(backup_context *one) {
  INT64 size;
  memcpy(&size, one->header.bytes + 8, sizeof size);
  DWORD id = stream_id(one);
  if (size < 0 || id == 0) return ERROR_INVALID_DATA;
  if (id == BACKUP_SPARSE_BLOCK) return ERROR_NOT_SUPPORTED;
  if (id != BACKUP_DATA && size > MAX_KEPT_BYTES) return ERROR_NOT_ENOUGH_MEMORY;
  one->stream_left = size;
  return 0;
}

static DWORD keep(backup_context *one, BOOL security, const void *bytes, size_t length) {
  BOOL is_security = stream_id(one) == BACKUP_SECURITY_DATA;
  if (stream_id(one) == BACKUP_DATA || (is_security && !security)) return 0;
  AcquireSRWLockExclusive(&lock);
  kept_file *file = make_kept(one->file);
  if (file != NULL) append(is_security ? &file->security : &file->others, bytes, length);
  ReleaseSRWLockExclusive(&lock);
  return file == NULL ? GetLastError() : 0;
}

EXPORT BOOL WINAPI BackupWrite(HANDLE file, LPBYTE buffer, DWORD length, LPDWORD bytes_written, BOOL abort_now, BOOL security,
                               LPVOID *context) {
  COUNTED();
  if (context == NULL) return fail(ERROR_INVALID_PARAMETER);
  if (abort_now) return end(context);
  if (buffer == NULL || bytes_written == NULL) return fail(ERROR_INVALID_PARAMETER);
  if (*context == NULL && (*context = begin(file, FALSE, security)) == NULL) return FALSE;
  backup_context *one = *context;
  if (one->is_read || one->file != file) return fail(ERROR_INVALID_PARAMETER);
  *bytes_written = 0;
  while (*bytes_written < length) {
    BYTE *at = buffer + *bytes_written;
    DWORD left = length - *bytes_written, count = left, error = 0;
    if (one->stream_left > 0) {
      if (one->stream_left < left) count = (DWORD)one->stream_left;
      if (stream_id(one) == BACKUP_DATA && !WriteFile(file, at, count, &count, NULL)) return FALSE;
      error = keep(one, security, at, count);
      one->stream_left -= count;
      if (one->stream_left == 0) clear(&one->header);
    } else {
      DWORD wanted = HEADER_BYTES + name_bytes(one) - (DWORD)one->header.length;
      if (wanted < left) count = wanted;
      append(&one->header, at, count);
      if (name_bytes(one) > MAX_NAME_BYTES || name_bytes(one) % 2 != 0) return fail(ERROR_INVALID_DATA);
      if (one->header.length >= HEADER_BYTES && one->header.length == HEADER_BYTES + name_bytes(one)) {
        error = begin_stream(one);
        if (error == 0) error = keep(one, security, one->header.bytes, one->header.length);
        if (error == 0 && one->stream_left == 0) clear(&one->header);
      }
    }
    if (error != 0) return fail(error);
    *bytes_written += count;
  }
  return TRUE;
}
