/*
 * The handles of computenetwork.dll, its calls, which all wait for the service's answer, and its notifications.
 */
#ifndef NETWORK_OBJECTS_H
#define NETWORK_OBJECTS_H

#include <windows.h>

#include <computenetwork.h>

#define E_BAD_HANDLE HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE)

/* A handle is a number, never an address: a closed one is unknown, not a wild pointer. */
typedef enum {
  NOTHING,
  NETWORK,
  ENDPOINT,
  NAMESPACE,
  LOAD_BALANCER,
  ROUTE,
  GUEST_SERVICE,
  SUBSCRIPTION,
  PORT_RESERVATION
} object_kind;

/* Before anything else. */
BOOL network_objects_prepare(void);

/* The service's number of what a handle is open to, 0 for one that is not open. */
LONG64 target_of(HANDLE handle, object_kind kind);

/* A call to the service, and where its answer goes. What is not wanted is NULL. */
typedef struct {
  LONG64 target;
  PWSTR *document, *error_record;
  object_kind opens;
  HANDLE *opened;
} service_call;

/* Makes the call with `count` strings. */
HRESULT call_service(const char *procedure, service_call call, int count, ...);

/* Makes the call about what `handle` is open to, unless it is not. */
HRESULT call_with_handle(const char *procedure, HANDLE handle, object_kind kind, service_call call, int count, ...);

/* Closes the handle here, then tells the service. */
HRESULT close_handle(const char *procedure, HANDLE handle, object_kind kind);

/* `target` is 0 for the whole service. */
HRESULT subscribe(LONG64 target, HCN_NOTIFICATION_CALLBACK callback, void *context, HCN_CALLBACK *handle);
/* Waits for a callback that runs now, so that none comes afterwards. */
HRESULT unsubscribe(HCN_CALLBACK handle);

#endif
