#include "service-link.h"
#include "network-objects.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "json-line.h"
#include "ledger.h"

#define MAX_OBJECTS 4096
#define SLOT_BITS 12
#define KIND_BITS 4
#define E_SERVER_UNAVAILABLE HRESULT_FROM_WIN32(RPC_S_SERVER_UNAVAILABLE)

typedef struct {
  object_kind kind;
  unsigned generation;
  LONG64 target;
  HCN_NOTIFICATION_CALLBACK callback;
  void *context;
} object;

static object objects[MAX_OBJECTS];
static CRITICAL_SECTION lock;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;

static HANDLE handle_of(const object *found) {
  ULONG64 slot = (ULONG64)(found - objects);
  return (HANDLE)(ULONG_PTR)((((ULONG64)found->generation << SLOT_BITS | slot) << KIND_BITS) | found->kind);
}

/* Needs the lock. */
static object *find(HANDLE handle, object_kind kind) {
  object *found = &objects[((ULONG_PTR)handle >> KIND_BITS) & (MAX_OBJECTS - 1)];
  return handle != NULL && found->kind == kind && handle_of(found) == handle ? found : NULL;
}

/* Needs the lock. Slots are taken in turn, so that a number is not soon used again. */
static object *make(object_kind kind, LONG64 target) {
  static unsigned next;
  for (int tries = 0; tries < MAX_OBJECTS; tries++) {
    object *made = &objects[++next % MAX_OBJECTS];
    if (made->kind != NOTHING) continue;
    *made = (object){.kind = kind, .generation = made->generation + 1, .target = target};
    ledger_handle_opened();
    return made;
  }
  abort();
}

/* Needs the lock. */
static void discard(object *old) {
  old->kind = NOTHING;
  ledger_handle_closed();
}

LONG64 target_of(HANDLE handle, object_kind kind) {
  EnterCriticalSection(&lock);
  object *found = find(handle, kind);
  LONG64 target = found != NULL ? found->target : 0;
  LeaveCriticalSection(&lock);
  return target;
}

/* Calls that wait for their answer. */

typedef struct pending {
  struct pending *next;
  LONG64 id;
  BOOL answered;
  HRESULT result;
  LONG64 target;
  WCHAR *document, *error_record;
} pending;

static pending *first_pending;

/* Notifications, told one after another on a thread of their own. */

typedef struct notification {
  struct notification *next;
  LONG64 type, target;
  WCHAR *data;
} notification;

static notification *first_notification, **last_notification = &first_notification;
static HANDLE called_back;
static DWORD notification_thread;

/* Needs the lock. */
static void queue_notification(LONG64 type, LONG64 target, WCHAR *data) {
  notification *queued = malloc(sizeof *queued);
  if (queued == NULL) abort();
  *queued = (notification){NULL, type, target, data};
  *last_notification = queued;
  last_notification = &queued->next;
}

/* Needs the lock, and lets go of it during the callback. */
static void tell(const object *listener, const notification *told) {
  HCN_NOTIFICATION_CALLBACK callback = listener->callback;
  void *context = listener->context;
  called_back = handle_of(listener);
  LeaveCriticalSection(&lock);
  callback((DWORD)told->type, context, S_OK, told->data);
  EnterCriticalSection(&lock);
  called_back = NULL;
  WakeAllConditionVariable(&changed);
}

static DWORD WINAPI tell_notifications(LPVOID argument) {
  (void)argument;
  EnterCriticalSection(&lock);
  notification_thread = GetCurrentThreadId();
  for (;;) {
    while (first_notification == NULL) SleepConditionVariableCS(&changed, &lock, INFINITE);
    notification *told = first_notification;
    first_notification = told->next;
    if (first_notification == NULL) last_notification = &first_notification;
    for (int i = 0; i < MAX_OBJECTS; i++) {
      BOOL for_all = told->type == HcnNotificationServiceDisconnect;
      if (objects[i].kind == SUBSCRIPTION && (for_all || objects[i].target == told->target)) tell(&objects[i], told);
    }
    free(told->data);
    free(told);
  }
  return 0;
}

/*
 * {"id", "accepted", "target"?, "document"?, "errorRecord"?}   the answer to a call
 * {"event", "target", "data"?}                                 a notification, for the service when the target is 0
 */
static void on_line(const char *line) {
  EnterCriticalSection(&lock);
  if (line == NULL) {
    for (pending *call = first_pending; call != NULL; call = call->next) {
      if (call->answered) continue;
      call->answered = TRUE;
      call->result = E_SERVER_UNAVAILABLE;
    }
    queue_notification(HcnNotificationServiceDisconnect, 0, NULL);
  } else if (json_number(line, "event", 0) != 0) {
    queue_notification(json_number(line, "event", 0), json_number(line, "target", 0), json_string(line, "data"));
  } else {
    LONG64 id = json_number(line, "id", 0);
    for (pending *call = first_pending; call != NULL; call = call->next) {
      if (call->id != id) continue;
      call->answered = TRUE;
      call->result = (HRESULT)json_number(line, "accepted", E_UNEXPECTED);
      call->target = json_number(line, "target", 0);
      call->document = json_string(line, "document");
      call->error_record = json_string(line, "errorRecord");
    }
  }
  WakeAllConditionVariable(&changed);
  LeaveCriticalSection(&lock);
}

/* Sends {"id", "call", "target", "arguments"} and waits for the answer. */
static void ask(pending *call, const char *procedure, LONG64 target, int count, va_list arguments) {
  static LONG64 last_id;
  EnterCriticalSection(&lock);
  call->id = ++last_id;
  call->next = first_pending;
  first_pending = call;
  LeaveCriticalSection(&lock);

  json_writer line = {0};
  json_append(&line, "{\"id\":");
  json_append_number(&line, call->id);
  json_append(&line, ",\"call\":\"");
  json_append(&line, procedure);
  json_append(&line, "\",\"target\":");
  json_append_number(&line, target);
  json_append(&line, ",\"arguments\":[");
  for (int i = 0; i < count; i++) {
    if (i > 0) json_append(&line, ",");
    json_append_string(&line, va_arg(arguments, const WCHAR *));
  }
  json_append(&line, "]}\n");
  BOOL sent = service_send(line.text, on_line);
  free(line.text);

  EnterCriticalSection(&lock);
  if (!sent) call->result = E_SERVER_UNAVAILABLE;
  while (sent && !call->answered) SleepConditionVariableCS(&changed, &lock, INFINITE);
  pending **link = &first_pending;
  while (*link != call) link = &(*link)->next;
  *link = call->next;
  LeaveCriticalSection(&lock);
}

static HRESULT make_call(const char *procedure, const service_call *wanted, int count, va_list arguments) {
  pending call = {0};
  ask(&call, procedure, wanted->target, count, arguments);
  if (wanted->document != NULL) *wanted->document = ledger_give_string(call.document, FREED_WITH_CO_TASK_MEM_FREE);
  if (wanted->error_record != NULL)
    *wanted->error_record = ledger_give_string(call.error_record, FREED_WITH_CO_TASK_MEM_FREE);
  free(call.document);
  free(call.error_record);
  if (wanted->opened != NULL) *wanted->opened = NULL;
  if (wanted->opened != NULL && SUCCEEDED(call.result) && call.target != 0) {
    EnterCriticalSection(&lock);
    *wanted->opened = handle_of(make(wanted->opens, call.target));
    LeaveCriticalSection(&lock);
  }
  return call.result;
}

HRESULT call_service(const char *procedure, service_call call, int count, ...) {
  va_list arguments;
  va_start(arguments, count);
  HRESULT result = make_call(procedure, &call, count, arguments);
  va_end(arguments);
  return result;
}

HRESULT call_with_handle(const char *procedure, HANDLE handle, object_kind kind, service_call call, int count, ...) {
  if (call.document != NULL) *call.document = NULL;
  if (call.error_record != NULL) *call.error_record = NULL;
  call.target = target_of(handle, kind);
  if (call.target == 0) return E_BAD_HANDLE;
  va_list arguments;
  va_start(arguments, count);
  HRESULT result = make_call(procedure, &call, count, arguments);
  va_end(arguments);
  return result;
}

HRESULT close_handle(const char *procedure, HANDLE handle, object_kind kind) {
  EnterCriticalSection(&lock);
  object *found = find(handle, kind);
  LONG64 target = found != NULL ? found->target : 0;
  if (found != NULL) discard(found);
  LeaveCriticalSection(&lock);
  return target == 0 ? E_BAD_HANDLE : call_service(procedure, (service_call){.target = target}, 0);
}

HRESULT subscribe(LONG64 target, HCN_NOTIFICATION_CALLBACK callback, void *context, HCN_CALLBACK *handle) {
  if (callback == NULL || handle == NULL) return E_POINTER;
  EnterCriticalSection(&lock);
  object *made = make(SUBSCRIPTION, target);
  made->callback = callback;
  made->context = context;
  *handle = handle_of(made);
  LeaveCriticalSection(&lock);
  return S_OK;
}

HRESULT unsubscribe(HCN_CALLBACK handle) {
  EnterCriticalSection(&lock);
  object *found = find(handle, SUBSCRIPTION);
  if (found != NULL) {
    while (called_back == handle && notification_thread != GetCurrentThreadId())
      SleepConditionVariableCS(&changed, &lock, INFINITE);
    discard(found);
  }
  LeaveCriticalSection(&lock);
  return found != NULL ? S_OK : E_BAD_HANDLE;
}

BOOL network_objects_prepare(void) {
  InitializeCriticalSection(&lock);
  HANDLE thread = CreateThread(NULL, 0, tell_notifications, NULL, 0, NULL);
  if (thread != NULL) CloseHandle(thread);
  return thread != NULL;
}
