/*
 * A stand-in for offreg.dll, with the prototypes of Microsoft's offreg.h, which mingw-w64 does not have, and the codes that the
 * pages of its functions name. A hive is a tree in memory; its file has the signature of a hive, and what follows is
 * this DLL's own.
 */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include "handle-table.h"
#include "ledger.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)

typedef HANDLE ORHKEY;

enum { HIVE, KEY };

/* Longest name of a value, and longest file that is read. */
#define MAX_NAME 16383
#define MAX_FILE (64 * 1024 * 1024)

typedef struct reg_value {
  struct reg_value *next;
  PWSTR name;
  DWORD type, length;
  BYTE *data;
} reg_value;

typedef struct reg_key {
  struct reg_key *next, *parent, *children;
  reg_value *values;
  PWSTR name;
  /* Handles that name it. */
  int handles;
} reg_key;

static CRITICAL_SECTION lock;

/* The tree */

static void *need(void *memory) {
  if (memory == NULL) abort();
  return memory;
}

static reg_key *make_key(reg_key *parent, PCWSTR name, size_t length) {
  reg_key *key = need(calloc(1, sizeof *key));
  key->name = need(calloc(length + 1, sizeof *key->name));
  memcpy(key->name, name, length * sizeof *name);
  key->parent = parent;
  if (parent != NULL) {
    reg_key **link = &parent->children;
    while (*link != NULL) link = &(*link)->next;
    *link = key;
  }
  return key;
}

static void free_key(reg_key *key) {
  while (key->children != NULL) {
    reg_key *child = key->children;
    key->children = child->next;
    free_key(child);
  }
  while (key->values != NULL) {
    reg_value *value = key->values;
    key->values = value->next;
    free(value->name);
    free(value->data);
    free(value);
  }
  free(key->name);
  free(key);
}

static reg_key *find_child(reg_key *key, PCWSTR name, size_t length) {
  for (reg_key *child = key->children; child != NULL; child = child->next) {
    if (wcslen(child->name) == length && _wcsnicmp(child->name, name, length) == 0) return child;
  }
  return NULL;
}

/* Follows a path; makes what is missing where `created` is not NULL, and says there whether the last one was. */
static reg_key *walk(reg_key *key, PCWSTR path, BOOL *created) {
  while (key != NULL && path != NULL && *path != 0) {
    size_t length = wcscspn(path, L"\\");
    reg_key *child = find_child(key, path, length);
    if (created != NULL) *created = child == NULL;
    if (child == NULL && created != NULL) child = make_key(key, path, length);
    key = child;
    path += length;
    if (*path == '\\') path++;
  }
  return key;
}

static reg_value **find_value(reg_key *key, PCWSTR name) {
  reg_value **link = &key->values;
  while (*link != NULL && _wcsicmp((*link)->name, name) != 0) link = &(*link)->next;
  return link;
}

static void set_value(reg_key *key, PCWSTR name, DWORD type, const void *data, DWORD length) {
  reg_value **link = find_value(key, name);
  reg_value *value = *link;
  if (value == NULL) {
    value = *link = need(calloc(1, sizeof *value));
    value->name = need(_wcsdup(name));
  }
  free(value->data);
  value->data = need(malloc(length + 1));
  memcpy(value->data, data, length);
  value->type = type;
  value->length = length;
}

/* What `from` has goes over what `into` has. */
static void merge_key(reg_key *into, const reg_key *from) {
  for (reg_value *value = from->values; value != NULL; value = value->next)
    set_value(into, value->name, value->type, value->data, value->length);
  for (reg_key *child = from->children; child != NULL; child = child->next) {
    reg_key *same = find_child(into, child->name, wcslen(child->name));
    merge_key(same != NULL ? same : make_key(into, child->name, wcslen(child->name)), child);
  }
}

static BOOL has_open_handles(const reg_key *key) {
  for (reg_key *child = key->children; child != NULL; child = child->next) {
    if (child->handles > 0 || has_open_handles(child)) return TRUE;
  }
  return FALSE;
}

/* The file: `regf`, then the root: name, values, children, each behind its count or length. */

static void write_number(FILE *file, DWORD number) { fwrite(&number, sizeof number, 1, file); }

static void write_text(FILE *file, PCWSTR text) {
  write_number(file, (DWORD)wcslen(text));
  fwrite(text, sizeof *text, wcslen(text), file);
}

static void write_key(FILE *file, const reg_key *key) {
  DWORD values = 0, children = 0;
  for (reg_value *value = key->values; value != NULL; value = value->next) values++;
  for (reg_key *child = key->children; child != NULL; child = child->next) children++;
  write_text(file, key->name);
  write_number(file, values);
  for (reg_value *value = key->values; value != NULL; value = value->next) {
    write_text(file, value->name);
    write_number(file, value->type);
    write_number(file, value->length);
    fwrite(value->data, 1, value->length, file);
  }
  write_number(file, children);
  for (reg_key *child = key->children; child != NULL; child = child->next) write_key(file, child);
}

typedef struct {
  const BYTE *at, *end;
  BOOL is_bad;
} reader;

static const void *take(reader *from, size_t bytes) {
  if ((size_t)(from->end - from->at) < bytes) from->is_bad = TRUE;
  if (from->is_bad) return NULL;
  from->at += bytes;
  return from->at - bytes;
}

static DWORD read_number(reader *from) {
  DWORD number = 0;
  const void *bytes = take(from, sizeof number);
  if (bytes != NULL) memcpy(&number, bytes, sizeof number);
  return number;
}

static PWSTR read_text(reader *from) {
  DWORD length = read_number(from);
  const void *bytes = length > MAX_NAME ? NULL : take(from, length * sizeof(WCHAR));
  from->is_bad = bytes == NULL;
  PWSTR text = need(calloc(length > MAX_NAME ? 1 : length + 1, sizeof *text));
  if (bytes != NULL) memcpy(text, bytes, length * sizeof *text);
  return text;
}

static reg_key *read_key(reader *from, reg_key *parent, int depth) {
  PWSTR name = read_text(from);
  reg_key *key = make_key(parent, name, wcslen(name));
  free(name);
  for (DWORD count = read_number(from); count > 0 && !from->is_bad; count--) {
    PWSTR value = read_text(from);
    DWORD type = read_number(from), length = read_number(from);
    const void *data = take(from, length);
    if (data != NULL) set_value(key, value, type, data, length);
    free(value);
  }
  if (depth > 512) from->is_bad = TRUE;
  for (DWORD count = read_number(from); count > 0 && !from->is_bad; count--) read_key(from, key, depth + 1);
  return key;
}

/* Handles */

static ORHKEY give_key(reg_key *key, int kind) {
  key->handles++;
  return give_handle(key, kind);
}

/* A hive's handle is one of its root key too. */
static reg_key *key_of(ORHKEY handle) {
  reg_key *key = object_of(handle, KEY);
  return key != NULL ? key : object_of(handle, HIVE);
}

/* Runs the rest of a procedure under the lock. */
#define LOCKED(result)               \
  do {                               \
    EnterCriticalSection(&lock);     \
    DWORD locked_result = (result);  \
    LeaveCriticalSection(&lock);     \
    return locked_result;            \
  } while (0)

/* Hives */

EXPORT DWORD WINAPI ORCreateHive(ORHKEY *result) {
  COUNTED();
  if (result == NULL) return ERROR_INVALID_PARAMETER;
  *result = give_key(make_key(NULL, L"", 0), HIVE);
  return ERROR_SUCCESS;
}

static DWORD load_hive(FILE *file, ORHKEY *result) {
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  if (size <= 0 || size > MAX_FILE) return ERROR_BADDB;
  BYTE *bytes = need(malloc((size_t)size));
  reader from = {bytes, bytes + size, fread(bytes, 1, (size_t)size, file) != (size_t)size};
  const void *signature = take(&from, 4);
  if (signature == NULL || memcmp(signature, "regf", 4) != 0) from.is_bad = TRUE;
  reg_key *root = from.is_bad ? NULL : read_key(&from, NULL, 0);
  free(bytes);
  if (from.is_bad) {
    if (root != NULL) free_key(root);
    return ERROR_NOT_REGISTRY_FILE;
  }
  *result = give_key(root, HIVE);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI OROpenHive(PCWSTR path, ORHKEY *result) {
  COUNTED();
  if (path == NULL || result == NULL) return ERROR_INVALID_PARAMETER;
  *result = NULL;
  if (GetFileAttributesW(path) == INVALID_FILE_ATTRIBUTES) return GetLastError();
  FILE *file = _wfopen(path, L"rb");
  if (file == NULL) return ERROR_ACCESS_DENIED;
  DWORD failure = load_hive(file, result);
  fclose(file);
  return failure;
}

static DWORD close_hive(ORHKEY handle) {
  reg_key *root = object_of(handle, HIVE);
  if (root == NULL) return ERROR_INVALID_HANDLE;
  /* "All keys must be closed before the hive is." */
  if (has_open_handles(root)) return ERROR_BUSY;
  take_handle(handle, HIVE);
  free_key(root);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI ORCloseHive(ORHKEY handle) {
  COUNTED();
  LOCKED(close_hive(handle));
}

/* As the page of ORSaveHive lists them, and those that came after it. */
static BOOL is_version_of_windows(DWORD major, DWORD minor) {
  return (major == 5 && (minor == 1 || minor == 2)) || (major == 6 && minor <= 3) || (major == 10 && minor == 0);
}

static DWORD save_hive(ORHKEY handle, PCWSTR path) {
  reg_key *root = object_of(handle, HIVE);
  if (root == NULL) return ERROR_INVALID_HANDLE;
  if (GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES) return ERROR_ALREADY_EXISTS;
  FILE *file = _wfopen(path, L"wb");
  if (file == NULL) return ERROR_ACCESS_DENIED;
  fwrite("regf", 1, 4, file);
  write_key(file, root);
  return fclose(file) == 0 ? ERROR_SUCCESS : ERROR_WRITE_FAULT;
}

EXPORT DWORD WINAPI ORSaveHive(ORHKEY handle, PCWSTR path, DWORD osMajorVersion, DWORD osMinorVersion) {
  COUNTED();
  if (path == NULL || !is_version_of_windows(osMajorVersion, osMinorVersion)) return ERROR_INVALID_PARAMETER;
  LOCKED(save_hive(handle, path));
}

static DWORD merge_hives(ORHKEY *handles, ULONG count, ORHKEY *result) {
  for (ULONG i = 0; i < count; i++) {
    if (object_of(handles[i], HIVE) == NULL) return ERROR_INVALID_HANDLE;
  }
  reg_key *merged = make_key(NULL, L"", 0);
  for (ULONG i = 0; i < count; i++) merge_key(merged, object_of(handles[i], HIVE));
  *result = give_key(merged, HIVE);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI ORMergeHives(ORHKEY *handles, ULONG count, ORHKEY *result) {
  COUNTED();
  if (handles == NULL || count == 0 || result == NULL) return ERROR_INVALID_PARAMETER;
  LOCKED(merge_hives(handles, count, result));
}

/* Keys */

static DWORD create_key(ORHKEY handle, PCWSTR path, ORHKEY *result, DWORD *disposition) {
  reg_key *key = key_of(handle);
  if (key == NULL) return ERROR_INVALID_HANDLE;
  BOOL created = FALSE;
  *result = give_key(walk(key, path, &created), KEY);
  if (disposition != NULL) *disposition = created ? REG_CREATED_NEW_KEY : REG_OPENED_EXISTING_KEY;
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI ORCreateKey(ORHKEY handle, PCWSTR subKey, PCWSTR className, DWORD options, PSECURITY_DESCRIPTOR security,
                                ORHKEY *result, DWORD *disposition) {
  COUNTED();
  (void)className, (void)security;
  if (subKey == NULL || *subKey == 0 || *subKey == '\\' || result == NULL) return ERROR_INVALID_PARAMETER;
  if ((options & ~(DWORD)(REG_OPTION_NON_VOLATILE | REG_OPTION_CREATE_LINK)) != 0) return ERROR_INVALID_PARAMETER;
  LOCKED(create_key(handle, subKey, result, disposition));
}

static DWORD open_key(ORHKEY handle, PCWSTR path, ORHKEY *result) {
  reg_key *key = key_of(handle);
  if (key == NULL) return ERROR_INVALID_HANDLE;
  key = walk(key, path, NULL);
  if (key == NULL) return ERROR_FILE_NOT_FOUND;
  *result = give_key(key, KEY);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI OROpenKey(ORHKEY handle, PCWSTR subKey, ORHKEY *result) {
  COUNTED();
  if (result == NULL) return ERROR_INVALID_PARAMETER;
  LOCKED(open_key(handle, subKey, result));
}

static DWORD close_key(ORHKEY handle) {
  reg_key *key = take_handle(handle, KEY);
  if (key == NULL) return ERROR_INVALID_HANDLE;
  key->handles--;
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI ORCloseKey(ORHKEY handle) {
  COUNTED();
  LOCKED(close_key(handle));
}

static DWORD delete_key(ORHKEY handle, PCWSTR path) {
  reg_key *key = key_of(handle);
  if (key == NULL) return ERROR_INVALID_HANDLE;
  key = walk(key, path, NULL);
  if (key == NULL) return ERROR_FILE_NOT_FOUND;
  if (key->parent == NULL) return ERROR_INVALID_PARAMETER;
  if (key->children != NULL) return ERROR_KEY_HAS_CHILDREN;
  /* A key that is open lives on in its handles on Windows; this DLL wants them closed. */
  if (key->handles > 0 && path != NULL) return ERROR_BUSY;
  if (path == NULL) take_handle(handle, KEY);
  for (reg_key **link = &key->parent->children; *link != NULL; link = &(*link)->next) {
    if (*link != key) continue;
    *link = key->next;
    break;
  }
  free_key(key);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI ORDeleteKey(ORHKEY handle, PCWSTR subKey) {
  COUNTED();
  LOCKED(delete_key(handle, subKey));
}

/* Values */

static DWORD get_value(ORHKEY handle, PCWSTR path, PCWSTR name, DWORD *type, void *data, DWORD *length) {
  reg_key *key = key_of(handle);
  if (key == NULL) return ERROR_INVALID_HANDLE;
  key = walk(key, path, NULL);
  reg_value *value = key == NULL ? NULL : *find_value(key, name != NULL ? name : L"");
  if (value == NULL) return ERROR_FILE_NOT_FOUND;
  DWORD room = length != NULL ? *length : 0;
  if (type != NULL) *type = value->type;
  if (length != NULL) *length = value->length;
  if (data == NULL) return ERROR_SUCCESS;
  if (room < value->length) return ERROR_MORE_DATA;
  memcpy(data, value->data, value->length);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI ORGetValue(ORHKEY handle, PCWSTR subKey, PCWSTR name, DWORD *type, void *data, DWORD *length) {
  COUNTED();
  if (data != NULL && length == NULL) return ERROR_INVALID_PARAMETER;
  LOCKED(get_value(handle, subKey, name, type, data, length));
}

static DWORD put_value(ORHKEY handle, PCWSTR name, DWORD type, const BYTE *data, DWORD length) {
  reg_key *key = key_of(handle);
  if (key == NULL) return ERROR_INVALID_HANDLE;
  set_value(key, name, type, data, length);
  return ERROR_SUCCESS;
}

EXPORT DWORD WINAPI ORSetValue(ORHKEY handle, PCWSTR name, DWORD type, const BYTE *data, DWORD length) {
  COUNTED();
  if ((data == NULL && length > 0) || (name != NULL && wcslen(name) > MAX_NAME)) return ERROR_INVALID_PARAMETER;
  LOCKED(put_value(handle, name != NULL ? name : L"", type, data != NULL ? data : (const BYTE *)"", length));
}

BOOL WINAPI DllMain(HINSTANCE dll, DWORD reason, LPVOID reserved) {
  (void)dll, (void)reserved;
  if (reason == DLL_PROCESS_ATTACH) InitializeCriticalSection(&lock);
  return TRUE;
}
