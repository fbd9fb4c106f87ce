/*
 * The handles of vmcompute.dll, its callbacks, and how a call gets its answer from the service: at once, or as
 * "pending" with a notification later, on a thread of the DLL's own.
 */
#ifndef NOTIFICATIONS_H
#define NOTIFICATIONS_H

#include <windows.h>

#define E_BAD_HANDLE HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE)
#define E_SERVICE_NOT_AVAILABLE ((HRESULT)0x80370114)
#define E_SERVICE_DISCONNECT ((HRESULT)0x8037011E)
#define E_VMCOMPUTE_OPERATION_PENDING ((HRESULT)0xC0370103)

/* hcsshim's internal/hcs/callback.go */
typedef enum {
  NOTHING = 0,
  SYSTEM_EXITED = 1,
  SYSTEM_CREATE_COMPLETED = 2,
  SYSTEM_START_COMPLETED = 3,
  SYSTEM_PAUSE_COMPLETED = 4,
  SYSTEM_RESUME_COMPLETED = 5,
  SYSTEM_CRASH_REPORT = 6,
  SYSTEM_SILO_JOB_CREATED = 7,
  SYSTEM_SAVE_COMPLETED = 8,
  SYSTEM_RDP_ENHANCED_MODE_STATE_CHANGED = 9,
  SYSTEM_SHUTDOWN_FAILED = 0xA,
  SYSTEM_GET_PROPERTIES_COMPLETED = 0xB,
  SYSTEM_MODIFY_COMPLETED = 0xC,
  SYSTEM_CRASH_INITIATED = 0xD,
  SYSTEM_GUEST_CONNECTION_CLOSED = 0xE,
  PROCESS_EXITED = 0x10000,
  SERVICE_DISCONNECT = 0x01000000
} notification_type;

/* NOTIFICATION_CALLBACK: hcsshim calls back with type, context, status and data, each in a register. */
typedef void(CALLBACK *notification_callback)(DWORD type, void *context, HRESULT status, PCWSTR data);

/* HcsProcessInformation of hcsshim's internal/vmcompute */
typedef struct {
  DWORD ProcessId;
  DWORD Reserved;
  HANDLE StdInput, StdOutput, StdError;
} process_information;

/* An object is found by number, never by address: a closed handle is an unknown number, not a wild pointer. */
typedef enum { FREE, SYSTEM, PROCESS, REGISTRATION, CALL } object_kind;

/* ANSWERED: by one line. COMPLETED: by a second one later, for which the call waits or which it leaves PENDING. */
typedef enum { ANSWERED, COMPLETED, PENDING } call_end;

typedef struct {
  /* As the service knows it. */
  const char *name;
  call_end end;
  /* What tells the end of a call that is left pending. */
  notification_type completion;
  /* What it is about, if anything. */
  object_kind kind;
  HANDLE handle;
  /* What it gives. All may be NULL. A failure has no `document`, and its own document is the `result`. */
  object_kind opens;
  HANDLE *opened;
  process_information *information;
  PWSTR *document, *result;
} service_call;

/* Before anything else. */
BOOL notifications_prepare(void);

HRESULT carry_out(service_call what, int count, const WCHAR *const *strings);

HRESULT register_callback(HANDLE owner, object_kind kind, notification_callback callback, void *context, HANDLE *registered);
/* Waits for a callback that is under way, so that none comes after it. */
HRESULT unregister_callback(HANDLE registered);

/* Callbacks that are still registered stay open, for the ledger to tell. */
HRESULT close_handle(HANDLE handle, object_kind kind);

#endif
