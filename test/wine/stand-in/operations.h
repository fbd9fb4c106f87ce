/*
 * The handles of computecore.dll, its operations and its callbacks, and how a call gets its answer from the
 * service.
 */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include <windows.h>

#include <computecore.h>

#define E_BAD_HANDLE HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE)
#define E_SERVICE_NOT_AVAILABLE ((HRESULT)0x80370114)
#define E_OPERATION_NOT_STARTED ((HRESULT)0x80370115)
#define E_OPERATION_ALREADY_STARTED ((HRESULT)0x80370116)
#define E_OPERATION_PENDING ((HRESULT)0x80370117)
#define E_OPERATION_TIMEOUT ((HRESULT)0x80370118)
#define E_CALLBACK_ALREADY_SET ((HRESULT)0x80370119)
#define E_SERVICE_DISCONNECT ((HRESULT)0x8037011E)

/* An object is found by number, never by address: a closed handle is an unknown number, not a wild pointer. */
typedef enum { FREE, SYSTEM, PROCESS, OPERATION, REQUEST } object_kind;
typedef enum { IDLE, STARTED, DONE } operation_phase;

typedef struct {
  object_kind kind;
  unsigned generation;
  /* The service's number for a system or process. */
  LONG64 target;
  const void *context;
  HCS_EVENT_CALLBACK on_event;
  HCS_OPERATION_COMPLETION on_completion;
  /* Operations and requests: the service's two answers. */
  operation_phase phase;
  HCS_OPERATION_TYPE type;
  HANDLE system, process;
  BOOL accepted;
  HRESULT accept_result, result;
  LONG64 new_target;
  WCHAR *document;
  DWORD process_id;
  /* Which standard streams the process has, a bit each, until they have been handed out. */
  DWORD streams;
} object;

extern CRITICAL_SECTION operations_lock;

/* Before anything else. */
BOOL operations_prepare(void);

/* These two need the lock. NULL when there is no such object. */
object *find_object(HANDLE handle, object_kind kind);
HANDLE handle_of(const object *found);

HCS_OPERATION make_operation(const void *context, HCS_OPERATION_COMPLETION callback);

/* Waits for a callback on this handle to return, so that none comes after the close. */
void close_object(HANDLE handle, object_kind kind);

/* The service's number of a system or process, 0 for a handle that is not open. */
LONG64 target_of(HANDLE handle, object_kind kind);

typedef struct {
  HCS_OPERATION operation;
  HCS_OPERATION_TYPE type;
  HANDLE system, process;
  /* What the call opens. */
  object_kind opens;
  HANDLE *opened;
} beginning;

/* A call that takes an operation, with `count` strings. */
HRESULT begin(beginning what, const char *call, int count, ...);

/* A call without an operation. `document` and `opened` may be NULL. */
HRESULT request(const char *call, LONG64 target, DWORD timeoutMs, PWSTR *document, object_kind opens, HANDLE *opened, int count, ...);

/* What an operation has ended with, if need be after a wait. `information` and `document` may be NULL. */
HRESULT result_of(HCS_OPERATION operation, DWORD timeoutMs, HCS_PROCESS_INFORMATION *information, PWSTR *document);

HRESULT set_operation_callback(HCS_OPERATION operation, const void *context, HCS_OPERATION_COMPLETION callback);
HRESULT set_event_callback(HANDLE handle, object_kind kind, const void *context, HCS_EVENT_CALLBACK callback);

#endif
