/*
 * A stand-in for computenetwork.dll. Its prototypes are checked against mingw-w64's computenetwork.h, which knows
 * nothing of this project; routes, which that header lacks, are declared below as upstream's zsyscall_windows.go
 * has them. What networks do is decided by the service at the other end of service-link.h. What a DLL must do is
 * done here and in network-objects.c: handles, strings, and notifications from a thread of its own.
 */
#include "network-objects.h"
#include <stdio.h>
#include <stdlib.h>
#include "ledger.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)

typedef void *HCN_ROUTE;

EXPORT HRESULT WINAPI HcnEnumerateSdnRoutes(PCWSTR query, PWSTR *routes, PWSTR *errorRecord);
EXPORT HRESULT WINAPI HcnCreateSdnRoute(REFGUID id, PCWSTR settings, HCN_ROUTE *route, PWSTR *errorRecord);
EXPORT HRESULT WINAPI HcnOpenSdnRoute(REFGUID id, HCN_ROUTE *route, PWSTR *errorRecord);
EXPORT HRESULT WINAPI HcnModifySdnRoute(HCN_ROUTE route, PCWSTR settings, PWSTR *errorRecord);
EXPORT HRESULT WINAPI HcnQuerySdnRouteProperties(HCN_ROUTE route, PCWSTR query, PWSTR *properties, PWSTR *errorRecord);
EXPORT HRESULT WINAPI HcnDeleteSdnRoute(REFGUID id, PWSTR *errorRecord);
EXPORT HRESULT WINAPI HcnCloseSdnRoute(HCN_ROUTE route);

#define GUID_CHARACTERS 37

/* The text of `id`. */
static const WCHAR *text_of(REFGUID id, WCHAR text[GUID_CHARACTERS]) {
  _snwprintf(text, GUID_CHARACTERS, L"%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", id->Data1, id->Data2, id->Data3,
             id->Data4[0], id->Data4[1], id->Data4[2], id->Data4[3], id->Data4[4], id->Data4[5], id->Data4[6], id->Data4[7]);
  return text;
}

#define CREATE_CALL(Name, kind)                                                                               \
  EXPORT HRESULT WINAPI HcnCreate##Name(REFGUID id, PCWSTR settings, HANDLE *made, PWSTR *errorRecord) {       \
    COUNTED();                                                                                                \
    if (id == NULL || settings == NULL || made == NULL) return E_POINTER;                                     \
    WCHAR text[GUID_CHARACTERS];                                                                              \
    return call_service(__func__, (service_call){.error_record = errorRecord, .opens = kind, .opened = made}, \
                        2, text_of(id, text), settings);                                                      \
  }

#define MODIFY_CALL(Name, kind)                                                                               \
  EXPORT HRESULT WINAPI HcnModify##Name(HANDLE handle, PCWSTR settings, PWSTR *errorRecord) {                  \
    COUNTED();                                                                                                \
    if (settings == NULL) return E_POINTER;                                                                   \
    return call_with_handle(__func__, handle, kind, (service_call){.error_record = errorRecord}, 1, settings); \
  }

#define DELETE_CALL(Name)                                                                                     \
  EXPORT HRESULT WINAPI HcnDelete##Name(REFGUID id, PWSTR *errorRecord) {                                      \
    COUNTED();                                                                                                \
    if (id == NULL) return E_POINTER;                                                                         \
    WCHAR text[GUID_CHARACTERS];                                                                              \
    return call_service(__func__, (service_call){.error_record = errorRecord}, 1, text_of(id, text));          \
  }

#define CLOSE_CALL(Name, kind)                             \
  EXPORT HRESULT WINAPI HcnClose##Name(HANDLE handle) {     \
    COUNTED();                                             \
    return close_handle(__func__, handle, kind);           \
  }

/* What every kind of object has but for its creation. */
#define OBJECT_CALLS(Name, kind)                                                                              \
  EXPORT HRESULT WINAPI HcnEnumerate##Name##s(PCWSTR query, PWSTR *list, PWSTR *errorRecord) {                 \
    COUNTED();                                                                                                \
    if (list == NULL) return E_POINTER;                                                                       \
    return call_service(__func__, (service_call){.document = list, .error_record = errorRecord}, 1, query);    \
  }                                                                                                           \
  EXPORT HRESULT WINAPI HcnOpen##Name(REFGUID id, HANDLE *opened, PWSTR *errorRecord) {                        \
    COUNTED();                                                                                                \
    if (id == NULL || opened == NULL) return E_POINTER;                                                       \
    WCHAR text[GUID_CHARACTERS];                                                                              \
    return call_service(__func__, (service_call){.error_record = errorRecord, .opens = kind, .opened = opened}, \
                        1, text_of(id, text));                                                                \
  }                                                                                                           \
  EXPORT HRESULT WINAPI HcnQuery##Name##Properties(HANDLE handle, PCWSTR query, PWSTR *properties,             \
                                                   PWSTR *errorRecord) {                                      \
    COUNTED();                                                                                                \
    if (properties == NULL) return E_POINTER;                                                                 \
    return call_with_handle(__func__, handle, kind,                                                           \
                            (service_call){.document = properties, .error_record = errorRecord}, 1, query);    \
  }                                                                                                           \
  MODIFY_CALL(Name, kind)                                                                                     \
  DELETE_CALL(Name)                                                                                           \
  CLOSE_CALL(Name, kind)

OBJECT_CALLS(Network, NETWORK)
CREATE_CALL(Network, NETWORK)
OBJECT_CALLS(Endpoint, ENDPOINT)
OBJECT_CALLS(Namespace, NAMESPACE)
CREATE_CALL(Namespace, NAMESPACE)
OBJECT_CALLS(LoadBalancer, LOAD_BALANCER)
CREATE_CALL(LoadBalancer, LOAD_BALANCER)
OBJECT_CALLS(SdnRoute, ROUTE)
CREATE_CALL(SdnRoute, ROUTE)

EXPORT HRESULT WINAPI HcnCreateEndpoint(HCN_NETWORK network, REFGUID id, PCWSTR settings, PHCN_ENDPOINT endpoint,
                                        PWSTR *errorRecord) {
  COUNTED();
  if (id == NULL || settings == NULL || endpoint == NULL) return E_POINTER;
  *endpoint = NULL;
  WCHAR text[GUID_CHARACTERS];
  return call_with_handle(__func__, network, NETWORK,
                          (service_call){.error_record = errorRecord, .opens = ENDPOINT, .opened = endpoint}, 2,
                          text_of(id, text), settings);
}

/* Notifications */

EXPORT HRESULT WINAPI HcnRegisterServiceCallback(HCN_NOTIFICATION_CALLBACK callback, void *context, HCN_CALLBACK *handle) {
  COUNTED();
  return subscribe(0, callback, context, handle);
}

EXPORT HRESULT WINAPI HcnUnregisterServiceCallback(HCN_CALLBACK handle) {
  COUNTED();
  return unsubscribe(handle);
}

/* Guest network services */

CREATE_CALL(GuestNetworkService, GUEST_SERVICE)
MODIFY_CALL(GuestNetworkService, GUEST_SERVICE)
DELETE_CALL(GuestNetworkService)
CLOSE_CALL(GuestNetworkService, GUEST_SERVICE)

EXPORT HRESULT WINAPI HcnRegisterGuestNetworkServiceCallback(HCN_GUESTNETWORKSERVICE service,
                                                             HCN_NOTIFICATION_CALLBACK callback, void *context,
                                                             HCN_CALLBACK *handle) {
  COUNTED();
  LONG64 target = target_of(service, GUEST_SERVICE);
  return target == 0 ? E_BAD_HANDLE : subscribe(target, callback, context, handle);
}

EXPORT HRESULT WINAPI HcnUnregisterGuestNetworkServiceCallback(HCN_CALLBACK handle) {
  COUNTED();
  return unsubscribe(handle);
}

/* Ports that a guest network service has for itself */

EXPORT HRESULT WINAPI HcnReserveGuestNetworkServicePort(HCN_GUESTNETWORKSERVICE service, HCN_PORT_PROTOCOL protocol,
                                                        HCN_PORT_ACCESS access, USHORT port, HANDLE *reservation) {
  COUNTED();
  if (reservation == NULL) return E_POINTER;
  WCHAR protocol_text[8], access_text[8], port_text[8];
  _ultow(protocol, protocol_text, 10);
  _ultow(access, access_text, 10);
  _ultow(port, port_text, 10);
  return call_with_handle(__func__, service, GUEST_SERVICE,
                          (service_call){.opens = PORT_RESERVATION, .opened = reservation}, 3, protocol_text, access_text,
                          port_text);
}

/* The service's document is "first last". */
EXPORT HRESULT WINAPI HcnReserveGuestNetworkServicePortRange(HCN_GUESTNETWORKSERVICE service, USHORT count,
                                                             HCN_PORT_RANGE_RESERVATION *range, HANDLE *reservation) {
  COUNTED();
  if (range == NULL || reservation == NULL) return E_POINTER;
  WCHAR text[8];
  _ultow(count, text, 10);
  PWSTR document = NULL;
  HRESULT result = call_with_handle(
      __func__, service, GUEST_SERVICE,
      (service_call){.document = &document, .opens = PORT_RESERVATION, .opened = reservation}, 1, text);
  if (SUCCEEDED(result) && swscanf(document, L"%hu %hu", &range->startingPort, &range->endingPort) != 2)
    result = E_UNEXPECTED;
  HeapFree(GetProcessHeap(), 0, document);
  return result;
}

EXPORT HRESULT WINAPI HcnReleaseGuestNetworkServicePortReservationHandle(HANDLE reservation) {
  COUNTED();
  return close_handle(__func__, reservation, PORT_RESERVATION);
}

/* One line "protocol sharing first last owner". Gives what comes after it, or NULL. */
static const WCHAR *read_entry(const WCHAR *line, HCN_PORT_RANGE_ENTRY *entry) {
  unsigned protocol, sharing;
  unsigned short first, last, high, low;
  unsigned long rest;
  GUID owner;
  if (swscanf(line, L"%u %u %hu %hu %8lx-%4hx-%4hx-%4hx-%4hx%8lx", &protocol, &sharing, &first, &last, &owner.Data1,
              &owner.Data2, &owner.Data3, &high, &low, &rest) != 10)
    return NULL;
  BYTE tail[8] = {high >> 8, (BYTE)high, low >> 8, (BYTE)low, (BYTE)(rest >> 24), (BYTE)(rest >> 16), (BYTE)(rest >> 8),
                  (BYTE)rest};
  memcpy(owner.Data4, tail, sizeof tail);
  *entry = (HCN_PORT_RANGE_ENTRY){.OwningPartitionId = owner, .TargetPartitionId = owner, .Protocol = protocol,
                                  .SharingFlags = sharing, .StartingPort = first, .EndingPort = last};
  const WCHAR *end = wcschr(line, L'\n');
  return end == NULL ? NULL : end + 1;
}

EXPORT HRESULT WINAPI HcnEnumerateGuestNetworkPortReservations(ULONG *returnCount, HCN_PORT_RANGE_ENTRY **portEntries) {
  COUNTED();
  if (returnCount == NULL || portEntries == NULL) return E_POINTER;
  *returnCount = 0;
  *portEntries = NULL;
  PWSTR document = NULL;
  HRESULT result = call_service(__func__, (service_call){.document = &document}, 0);
  ULONG lines = 0;
  for (const WCHAR *at = document; at != NULL && *at != 0; at++) lines += *at == L'\n';
  if (SUCCEEDED(result) && lines > 0) {
    HCN_PORT_RANGE_ENTRY *entries = calloc(lines, sizeof *entries);
    if (entries == NULL) abort();
    const WCHAR *line = document;
    for (ULONG i = 0; i < lines && line != NULL; i++) line = read_entry(line, &entries[i]);
    *returnCount = lines;
    *portEntries = entries;
    ledger_handle_opened();
  }
  HeapFree(GetProcessHeap(), 0, document);
  return result;
}

EXPORT void WINAPI HcnFreeGuestNetworkPortReservations(HCN_PORT_RANGE_ENTRY *portEntries) {
  COUNTED();
  if (portEntries == NULL) return;
  free(portEntries);
  ledger_handle_closed();
}

BOOL WINAPI DllMain(HINSTANCE dll, DWORD reason, LPVOID reserved) {
  (void)dll, (void)reserved;
  return reason != DLL_PROCESS_ATTACH || network_objects_prepare();
}
