/*
 * A stand-in for computestorage.dll. Its prototypes are checked against mingw-w64's computestorage.h; the two of the
 * overlay filter, which that header lacks, are declared below as hcsshim's computestorage has them. Folders are
 * really made, copied and removed; documents are looked at as the pages of these functions describe them. Where disks come from is
 * the stand-in for virtdisk.dll.
 */
#include <windows.h>

#include <computestorage.h>
#include <stdlib.h>
#include "json-document.h"
#include "ledger.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)

#define HCS_E_INVALID_JSON ((HRESULT)0x8037010D)
#define HCS_E_INVALID_LAYER ((HRESULT)0x80370112)

EXPORT HRESULT WINAPI HcsAttachOverlayFilter(PCWSTR volumePath, PCWSTR layerData);
EXPORT HRESULT WINAPI HcsDetachOverlayFilter(PCWSTR volumePath, PCWSTR layerData);

/* Folders */

static HRESULT last_error(void) { return HRESULT_FROM_WIN32(GetLastError()); }

static BOOL is_directory(PCWSTR path) {
  DWORD attributes = GetFileAttributesW(path);
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

static PWSTR join(PCWSTR folder, PCWSTR name) {
  size_t length = wcslen(folder);
  BOOL has_separator = length > 0 && folder[length - 1] == '\\';
  PWSTR path = calloc(length + wcslen(name) + 2, sizeof *path);
  if (path == NULL) abort();
  wcscpy(path, folder);
  if (!has_separator) wcscat(path, L"\\");
  return wcscat(path, name);
}

/* What is done with each entry of a folder; `context` is the caller's. */
typedef HRESULT (*entry_handler)(PCWSTR path, const WIN32_FIND_DATAW *entry, void *context);

static HRESULT each_entry(PCWSTR folder, entry_handler handle, void *context) {
  PWSTR pattern = join(folder, L"*");
  WIN32_FIND_DATAW entry;
  HANDLE search = FindFirstFileW(pattern, &entry);
  free(pattern);
  if (search == INVALID_HANDLE_VALUE) return last_error();
  HRESULT result = S_OK;
  do {
    if (wcscmp(entry.cFileName, L".") == 0 || wcscmp(entry.cFileName, L"..") == 0) continue;
    PWSTR path = join(folder, entry.cFileName);
    result = handle(path, &entry, context);
    free(path);
  } while (SUCCEEDED(result) && FindNextFileW(search, &entry));
  FindClose(search);
  return result;
}

static HRESULT remove_tree(PCWSTR folder);

static HRESULT remove_entry(PCWSTR path, const WIN32_FIND_DATAW *entry, void *context) {
  (void)context;
  if (entry->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) return remove_tree(path);
  return DeleteFileW(path) ? S_OK : last_error();
}

static HRESULT remove_tree(PCWSTR folder) {
  HRESULT result = each_entry(folder, remove_entry, NULL);
  if (FAILED(result)) return result;
  return RemoveDirectoryW(folder) ? S_OK : last_error();
}

static HRESULT copy_tree(PCWSTR source, PCWSTR target);

static HRESULT copy_entry(PCWSTR path, const WIN32_FIND_DATAW *entry, void *context) {
  PWSTR target = join(context, entry->cFileName);
  HRESULT result = entry->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY ? copy_tree(path, target)
                   : CopyFileW(path, target, TRUE)                    ? S_OK
                                                                      : last_error();
  free(target);
  return result;
}

static HRESULT copy_tree(PCWSTR source, PCWSTR target) {
  if (!CreateDirectoryW(target, NULL) && !is_directory(target)) return last_error();
  return each_entry(source, copy_entry, (void *)target);
}

static HRESULT make_directory_in(PCWSTR folder, PCWSTR name) {
  PWSTR path = join(folder, name);
  HRESULT result = CreateDirectoryW(path, NULL) ? S_OK : last_error();
  free(path);
  return result;
}

static HRESULT make_file_in(PCWSTR folder, PCWSTR name) {
  PWSTR path = join(folder, name);
  HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
  HRESULT result = file != INVALID_HANDLE_VALUE ? S_OK : last_error();
  free(path);
  if (SUCCEEDED(result)) CloseHandle(file);
  return result;
}

static HRESULT need_directory(PCWSTR path) {
  if (path == NULL || *path == 0) return E_INVALIDARG;
  return is_directory(path) ? S_OK : HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND);
}

static HRESULT need_directory_in(PCWSTR folder, PCWSTR name) {
  PWSTR path = join(folder, name);
  HRESULT result = is_directory(path) ? S_OK : HCS_E_INVALID_LAYER;
  free(path);
  return result;
}

/* Documents */

static BOOL is_number(const WCHAR *value) { return value != NULL && *value >= '0' && *value <= '9'; }

/* `LayerData`: a version, and layers, each with a GUID and a path that exists. Gives how many there are. */
static HRESULT read_layer_data(PCWSTR document, int *count) {
  *count = 0;
  if (document == NULL) return E_INVALIDARG;
  if (!json_is_object(document)) return HCS_E_INVALID_JSON;
  const WCHAR *version = json_member(document, L"SchemaVersion");
  if (version == NULL || !is_number(json_member(version, L"Major")) || !is_number(json_member(version, L"Minor")))
    return HCS_E_INVALID_JSON;
  const WCHAR *layers = json_member(document, L"Layers");
  if (layers == NULL) return S_OK;
  *count = json_count_objects(layers);
  if (*count < 0) return HCS_E_INVALID_JSON;
  for (int i = 0; i < *count; i++) {
    const WCHAR *layer = json_object_at(layers, i);
    const WCHAR *id = json_member(layer, L"Id");
    const WCHAR *path = json_member(layer, L"Path");
    if (id == NULL || *id != '"' || id[37] != '"' || path == NULL || *path != '"') return HCS_E_INVALID_JSON;
  }
  return S_OK;
}

/* `OsLayerOptions`. Gives whether it is of a utility VM. */
static HRESULT read_os_layer_options(PCWSTR document, BOOL *is_vm) {
  if (document == NULL) return E_INVALIDARG;
  if (!json_is_object(document)) return HCS_E_INVALID_JSON;
  const WCHAR *type = json_member(document, L"Type");
  *is_vm = json_is_string(type, L"Vm");
  return *is_vm || json_is_string(type, L"Container") ? S_OK : HCS_E_INVALID_JSON;
}

/* Filters: paths that have one, each with a handle in the ledger. */

typedef enum { STORAGE_FILTER, OVERLAY_FILTER } filter_kind;

typedef struct filter {
  struct filter *next;
  filter_kind kind;
  PWSTR path;
} filter;

static SRWLOCK lock = SRWLOCK_INIT;
static filter *filters;

static filter **find_filter(filter_kind kind, PCWSTR path) {
  filter **link = &filters;
  while (*link != NULL && ((*link)->kind != kind || _wcsicmp((*link)->path, path) != 0)) link = &(*link)->next;
  return link;
}

static HRESULT attach_filter(filter_kind kind, PCWSTR path) {
  AcquireSRWLockExclusive(&lock);
  BOOL is_new = *find_filter(kind, path) == NULL;
  if (is_new) {
    filter *one = calloc(1, sizeof *one);
    if (one == NULL || (one->path = _wcsdup(path)) == NULL) abort();
    one->kind = kind;
    one->next = filters;
    filters = one;
    ledger_handle_opened();
  }
  ReleaseSRWLockExclusive(&lock);
  return is_new ? S_OK : HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS);
}

static HRESULT detach_filter(filter_kind kind, PCWSTR path) {
  if (path == NULL) return E_INVALIDARG;
  AcquireSRWLockExclusive(&lock);
  filter **link = find_filter(kind, path);
  filter *one = *link;
  if (one != NULL) {
    *link = one->next;
    free(one->path);
    free(one);
    ledger_handle_closed();
  }
  ReleaseSRWLockExclusive(&lock);
  return one != NULL ? S_OK : HRESULT_FROM_WIN32(ERROR_NOT_FOUND);
}

/* Virtual disks */

static FARPROC disk_procedure(const char *name) {
  HMODULE virtdisk = GetModuleHandleW(L"virtdisk.dll");
  return virtdisk == NULL ? NULL : GetProcAddress(virtdisk, name);
}

static HRESULT disk_state(HANDLE disk, BOOL *is_attached, BOOL *is_formatted) {
  DWORD (*state)(HANDLE, BOOL *, BOOL *) = (DWORD (*)(HANDLE, BOOL *, BOOL *))(void *)disk_procedure("StandInDiskState");
  return state == NULL ? HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE) : HRESULT_FROM_WIN32(state(disk, is_attached, is_formatted));
}

/* The procedures */

#define TRY(call)                     \
  do {                                \
    HRESULT failed = (call);          \
    if (FAILED(failed)) return failed; \
  } while (0)

EXPORT HRESULT WINAPI HcsImportLayer(PCWSTR layerPath, PCWSTR sourceFolderPath, PCWSTR layerData) {
  COUNTED();
  int parents;
  if (layerPath == NULL || *layerPath == 0) return E_INVALIDARG;
  TRY(read_layer_data(layerData, &parents));
  TRY(need_directory(sourceFolderPath));
  TRY(need_directory_in(sourceFolderPath, L"Files"));
  return copy_tree(sourceFolderPath, layerPath);
}

EXPORT HRESULT WINAPI HcsExportLayer(PCWSTR layerPath, PCWSTR exportFolderPath, PCWSTR layerData, PCWSTR options) {
  COUNTED();
  int parents;
  TRY(read_layer_data(layerData, &parents));
  if (options == NULL) return E_INVALIDARG;
  if (!json_is_object(options)) return HCS_E_INVALID_JSON;
  TRY(need_directory(layerPath));
  /* A writable layer is exported as what it changes of its parents. */
  const WCHAR *writable = json_member(options, L"IsWritableLayer");
  if (writable != NULL && wcsncmp(writable, L"true", 4) == 0 && parents == 0) return E_INVALIDARG;
  return copy_tree(layerPath, exportFolderPath);
}

EXPORT HRESULT WINAPI HcsDestroyLayer(PCWSTR layerPath) {
  COUNTED();
  TRY(need_directory(layerPath));
  return remove_tree(layerPath);
}

EXPORT HRESULT WINAPI HcsSetupBaseOSLayer(PCWSTR layerPath, HANDLE vhdHandle, PCWSTR options) {
  COUNTED();
  BOOL is_vm, is_attached, is_formatted;
  TRY(read_os_layer_options(options, &is_vm));
  TRY(need_directory(layerPath));
  TRY(need_directory_in(layerPath, L"Files"));
  if (!is_vm) {
    if (vhdHandle != NULL) return E_INVALIDARG;
    TRY(make_directory_in(layerPath, L"Hives"));
    return make_file_in(layerPath, L"Layout");
  }
  TRY(disk_state(vhdHandle, &is_attached, &is_formatted));
  if (!is_attached) return HRESULT_FROM_WIN32(ERROR_NOT_READY);
  DWORD (*format)(HANDLE) = (DWORD (*)(HANDLE))(void *)disk_procedure("StandInFormatDisk");
  return HRESULT_FROM_WIN32(format(vhdHandle));
}

EXPORT HRESULT WINAPI HcsSetupBaseOSVolume(PCWSTR layerPath, PCWSTR volumePath, PCWSTR options) {
  COUNTED();
  BOOL is_vm;
  TRY(read_os_layer_options(options, &is_vm));
  TRY(need_directory(layerPath));
  TRY(need_directory_in(layerPath, L"Files"));
  TRY(need_directory(volumePath));
  return make_directory_in(volumePath, L"Boot");
}

EXPORT HRESULT WINAPI HcsInitializeWritableLayer(PCWSTR writableLayerPath, PCWSTR layerData, PCWSTR options) {
  COUNTED();
  int parents;
  if (options != NULL && !json_is_object(options)) return HCS_E_INVALID_JSON;
  TRY(read_layer_data(layerData, &parents));
  TRY(need_directory(writableLayerPath));
  return parents == 0 ? E_INVALIDARG : make_directory_in(writableLayerPath, L"Files");
}

EXPORT HRESULT WINAPI HcsAttachLayerStorageFilter(PCWSTR layerPath, PCWSTR layerData) {
  COUNTED();
  int parents;
  TRY(read_layer_data(layerData, &parents));
  TRY(need_directory(layerPath));
  return parents == 0 ? E_INVALIDARG : attach_filter(STORAGE_FILTER, layerPath);
}

EXPORT HRESULT WINAPI HcsDetachLayerStorageFilter(PCWSTR layerPath) {
  COUNTED();
  return detach_filter(STORAGE_FILTER, layerPath);
}

static HRESULT need_filter_type(PCWSTR layerData) {
  const WCHAR *type = json_member(layerData, L"FilterType");
  return json_is_string(type, L"UnionFS") || json_is_string(type, L"WCIFS") ? S_OK : HCS_E_INVALID_JSON;
}

HRESULT WINAPI HcsAttachOverlayFilter(PCWSTR volumePath, PCWSTR layerData) {
  COUNTED();
  int parents;
  TRY(read_layer_data(layerData, &parents));
  TRY(need_filter_type(layerData));
  TRY(need_directory(volumePath));
  return parents == 0 ? E_INVALIDARG : attach_filter(OVERLAY_FILTER, volumePath);
}

HRESULT WINAPI HcsDetachOverlayFilter(PCWSTR volumePath, PCWSTR layerData) {
  COUNTED();
  int parents;
  TRY(read_layer_data(layerData, &parents));
  TRY(need_filter_type(layerData));
  return detach_filter(OVERLAY_FILTER, volumePath);
}

EXPORT HRESULT WINAPI HcsFormatWritableLayerVhd(HANDLE vhdHandle) {
  COUNTED();
  BOOL is_attached, is_formatted;
  TRY(disk_state(vhdHandle, &is_attached, &is_formatted));
  DWORD (*format)(HANDLE) = (DWORD (*)(HANDLE))(void *)disk_procedure("StandInFormatDisk");
  return HRESULT_FROM_WIN32(format(vhdHandle));
}

EXPORT HRESULT WINAPI HcsGetLayerVhdMountPath(HANDLE vhdHandle, PWSTR *mountPath) {
  COUNTED();
  BOOL is_attached, is_formatted;
  if (mountPath == NULL) return E_POINTER;
  *mountPath = NULL;
  TRY(disk_state(vhdHandle, &is_attached, &is_formatted));
  /* "The handle to a mounted virtual hard disk on the host". */
  if (!is_attached || !is_formatted) return HRESULT_FROM_WIN32(ERROR_NOT_READY);
  *mountPath = ledger_give_string(L"\\\\?\\Volume{5de4a3b1-1fd8-4a6c-9e0b-2b0c3f1e7a55}", FREED_WITH_LOCAL_FREE);
  return S_OK;
}
