/*
 * A stand-in for vmcompute.dll: its container layers. The prototypes and structures are those of hcsshim's
 * internal/wclayer. A layer goes to the service by its whole path, a descriptor as two strings, id and path.
 */
#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include "ledger.h"
#include "notifications.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)
#define MAX_DESCRIPTORS 256
#define MAX_STRINGS (2 * MAX_DESCRIPTORS + 4)
#define GUID_CHARACTERS 37

typedef enum { DIFF_DRIVER, FILTER_DRIVER } graph_driver_type;

typedef struct {
  graph_driver_type flavour;
  PCWSTR home_dir;
} driver_info;

typedef struct {
  GUID layer_id;
  ULONG flags;
  PCWSTR path;
} layer_descriptor;

/* The strings of a call, of which it owns those that it has made. */
typedef struct {
  HRESULT result;
  int count, owned;
  const WCHAR *strings[MAX_STRINGS];
  WCHAR *made[MAX_STRINGS];
} arguments;

static WCHAR *own(arguments *all, size_t characters) {
  WCHAR *text = calloc(characters, sizeof *text);
  if (text == NULL) abort();
  all->made[all->owned++] = text;
  all->strings[all->count++] = text;
  return text;
}

static void add(arguments *all, const WCHAR *text) {
  if (text == NULL) all->result = E_INVALIDARG;
  else all->strings[all->count++] = text;
}

/* With no home directory, as from hcsshim, `id` is the path itself. */
static void add_layer(arguments *all, const driver_info *info, PCWSTR id) {
  if (info == NULL || info->flavour != FILTER_DRIVER || info->home_dir == NULL || id == NULL || *id == 0) {
    all->result = E_INVALIDARG;
    return;
  }
  size_t characters = wcslen(info->home_dir) + wcslen(id) + 2;
  swprintf(own(all, characters), characters, *info->home_dir != 0 ? L"%ls\\%ls" : L"%ls%ls", info->home_dir, id);
}

static void add_descriptors(arguments *all, const layer_descriptor *descriptors, SIZE_T count) {
  if ((descriptors == NULL && count > 0) || count > MAX_DESCRIPTORS) {
    all->result = E_INVALIDARG;
    return;
  }
  for (SIZE_T i = 0; i < count; i++) {
    const GUID *id = &descriptors[i].layer_id;
    swprintf(own(all, GUID_CHARACTERS), GUID_CHARACTERS, L"%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", id->Data1,
             id->Data2, id->Data3, id->Data4[0], id->Data4[1], id->Data4[2], id->Data4[3], id->Data4[4], id->Data4[5],
             id->Data4[6], id->Data4[7]);
    add(all, descriptors[i].path);
  }
}

static HRESULT call_service(const char *name, arguments *all, PWSTR *document) {
  HRESULT result = all->result;
  if (SUCCEEDED(result)) result = carry_out((service_call){.name = name, .document = document}, all->count, all->strings);
  while (all->owned > 0) free(all->made[--all->owned]);
  return result;
}

/* What the service has said, for this DLL's own use. */
static HRESULT ask_service(const char *name, arguments *all, WCHAR *text, size_t characters) {
  PWSTR said = NULL;
  HRESULT result = call_service(name, all, &said);
  if (SUCCEEDED(result) && (said == NULL || wcslen(said) >= characters)) result = E_UNEXPECTED;
  if (SUCCEEDED(result)) wcscpy(text, said);
  if (said != NULL) HeapFree(GetProcessHeap(), 0, said);
  return result;
}

#define LAYER_CALL(name)                                                \
  EXPORT HRESULT WINAPI name(const driver_info *info, PCWSTR id) {      \
    COUNTED();                                                          \
    arguments all = {0};                                                \
    add_layer(&all, info, id);                                          \
    return call_service(__func__, &all, NULL);                          \
  }

LAYER_CALL(ActivateLayer)
LAYER_CALL(DeactivateLayer)
LAYER_CALL(DestroyLayer)
LAYER_CALL(UnprepareLayer)

EXPORT HRESULT WINAPI CreateLayer(const driver_info *info, PCWSTR id, PCWSTR parent) {
  COUNTED();
  arguments all = {0};
  add_layer(&all, info, id);
  add(&all, parent);
  return call_service(__func__, &all, NULL);
}

EXPORT HRESULT WINAPI CreateSandboxLayer(const driver_info *info, PCWSTR id, ULONG_PTR parent, const layer_descriptor *descriptors,
                                         SIZE_T count) {
  COUNTED();
  arguments all = {0};
  if (parent != 0) all.result = E_INVALIDARG;
  add_layer(&all, info, id);
  add_descriptors(&all, descriptors, count);
  return call_service(__func__, &all, NULL);
}

EXPORT HRESULT WINAPI PrepareLayer(const driver_info *info, PCWSTR id, const layer_descriptor *descriptors, SIZE_T count) {
  COUNTED();
  arguments all = {0};
  add_layer(&all, info, id);
  add_descriptors(&all, descriptors, count);
  return call_service(__func__, &all, NULL);
}

/* The second layer or folder comes before the descriptors. */
static HRESULT call_with_two(const char *name, const driver_info *info, PCWSTR id, PCWSTR folder,
                             const layer_descriptor *descriptors, SIZE_T count) {
  arguments all = {0};
  add_layer(&all, info, id);
  add(&all, folder);
  add_descriptors(&all, descriptors, count);
  return call_service(name, &all, NULL);
}

EXPORT HRESULT WINAPI CopyLayer(const driver_info *info, PCWSTR sourceId, PCWSTR destinationId, const layer_descriptor *descriptors,
                                SIZE_T count) {
  COUNTED();
  return call_with_two(__func__, info, sourceId, destinationId, descriptors, count);
}

EXPORT HRESULT WINAPI ExportLayer(const driver_info *info, PCWSTR id, PCWSTR path, const layer_descriptor *descriptors, SIZE_T count) {
  COUNTED();
  return call_with_two(__func__, info, id, path, descriptors, count);
}

EXPORT HRESULT WINAPI ImportLayer(const driver_info *info, PCWSTR id, PCWSTR path, const layer_descriptor *descriptors, SIZE_T count) {
  COUNTED();
  return call_with_two(__func__, info, id, path, descriptors, count);
}

EXPORT HRESULT WINAPI ExpandSandboxSize(const driver_info *info, PCWSTR id, UINT64 size) {
  COUNTED();
  WCHAR number[24];
  arguments all = {0};
  add_layer(&all, info, id);
  add(&all, _ui64tow(size, number, 10));
  return call_service(__func__, &all, NULL);
}

/* Without a buffer it tells how many characters are needed, the NUL among them. */
EXPORT HRESULT WINAPI GetLayerMountPath(const driver_info *info, PCWSTR id, SIZE_T *length, PWSTR buffer) {
  COUNTED();
  WCHAR path[1024];
  arguments all = {0};
  if (length == NULL) all.result = E_INVALIDARG;
  add_layer(&all, info, id);
  HRESULT result = ask_service(__func__, &all, path, sizeof path / sizeof *path);
  if (FAILED(result)) return result;
  SIZE_T room = *length;
  *length = wcslen(path) + 1;
  if (buffer == NULL) return S_OK;
  if (room < *length) return HRESULT_FROM_WIN32(ERROR_INSUFFICIENT_BUFFER);
  wcscpy(buffer, path);
  return S_OK;
}

EXPORT HRESULT WINAPI LayerExists(const driver_info *info, PCWSTR id, BOOL *exists) {
  COUNTED();
  WCHAR answer[8];
  arguments all = {0};
  if (exists == NULL) all.result = E_INVALIDARG;
  add_layer(&all, info, id);
  HRESULT result = ask_service(__func__, &all, answer, sizeof answer / sizeof *answer);
  if (SUCCEEDED(result)) *exists = wcscmp(answer, L"true") == 0;
  return result;
}

EXPORT HRESULT WINAPI NameToGuid(PCWSTR name, GUID *guid) {
  COUNTED();
  WCHAR text[GUID_CHARACTERS];
  arguments all = {0};
  if (guid == NULL) all.result = E_INVALIDARG;
  add(&all, name);
  HRESULT result = ask_service(__func__, &all, text, GUID_CHARACTERS);
  if (FAILED(result)) return result;
  unsigned parts[8];
  unsigned long data1;
  unsigned data2, data3;
  int read = swscanf(text, L"%8lx-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x", &data1, &data2, &data3, &parts[0], &parts[1], &parts[2],
                     &parts[3], &parts[4], &parts[5], &parts[6], &parts[7]);
  if (read != 11) return E_UNEXPECTED;
  *guid = (GUID){data1, (WORD)data2, (WORD)data3, {0}};
  for (int i = 0; i < 8; i++) guid->Data4[i] = (BYTE)parts[i];
  return S_OK;
}

EXPORT HRESULT WINAPI GetBaseImages(PWSTR *images) {
  COUNTED();
  arguments all = {0};
  if (images == NULL) return E_INVALIDARG;
  return call_service(__func__, &all, images);
}

#define PATH_CALL(name)                            \
  EXPORT HRESULT WINAPI name(PCWSTR path) {        \
    COUNTED();                                     \
    arguments all = {0};                           \
    add(&all, path);                               \
    return call_service(__func__, &all, NULL);     \
  }

PATH_CALL(ProcessBaseImage)
PATH_CALL(ProcessUtilityImage)

EXPORT HRESULT WINAPI GrantVmAccess(PCWSTR vmId, PCWSTR filePath) {
  COUNTED();
  arguments all = {0};
  add(&all, vmId);
  add(&all, filePath);
  return call_service(__func__, &all, NULL);
}
