#include "service-link.h"
#include "notifications.h"
#include <stdlib.h>
#include <string.h>
#include "json-line.h"
#include "ledger.h"
#include "process-pipes.h"

#define MAX_OBJECTS 16384
#define SLOT_BITS 14

/* To one handle, or when that is NULL, to all of a target, or when that is 0, to all. */
typedef struct notification {
  struct notification *next;
  HANDLE handle;
  LONG64 target;
  DWORD type;
  HRESULT status;
  WCHAR *data;
} notification;

typedef struct {
  object_kind kind;
  unsigned generation;
  /* Systems and processes: the service's number, and what came when there was no callback. */
  LONG64 target;
  notification *held;
  /* Registrations */
  HANDLE owner;
  notification_callback callback;
  void *context;
  /* Calls: the service's two answers, and where the end of a pending one is told. */
  BOOL accepted, done, detached;
  HRESULT accept_result, result;
  LONG64 new_target, pending, times;
  WCHAR *document;
  DWORD process_id, streams;
  notification_type completion;
} object;

static object objects[MAX_OBJECTS];
static CRITICAL_SECTION lock;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;
static notification *first, **last = &first;
/* The registration whose callback runs now, and the thread that runs it. */
static HANDLE called_back;
static DWORD telling_thread;

/* All of these need the lock. */

static HANDLE handle_of(const object *found) {
  ULONG64 slot = (ULONG64)(found - objects);
  return (HANDLE)(ULONG_PTR)((((ULONG64)found->generation << SLOT_BITS | slot) << 3) | found->kind);
}

static object *find_object(HANDLE handle, object_kind kind) {
  object *found = &objects[((ULONG_PTR)handle >> 3) & (MAX_OBJECTS - 1)];
  return handle != NULL && found->kind == kind && handle_of(found) == handle ? found : NULL;
}

/* Slots are taken in turn, so that a number is not soon used again. */
static object *make(object_kind kind) {
  static unsigned next;
  for (int tries = 0; tries < MAX_OBJECTS; tries++) {
    object *made = &objects[++next % MAX_OBJECTS];
    if (made->kind != FREE) continue;
    unsigned generation = made->generation + 1;
    memset(made, 0, sizeof *made);
    made->kind = kind;
    made->generation = generation;
    if (kind != CALL) ledger_handle_opened();
    return made;
  }
  abort();
}

static void free_notification(notification *old) {
  free(old->data);
  free(old);
}

static void discard(object *old) {
  if (old->kind != CALL) ledger_handle_closed();
  free(old->document);
  for (notification *next; old->held != NULL; old->held = next) {
    next = old->held->next;
    free_notification(old->held);
  }
  old->document = NULL;
  old->kind = FREE;
}

static void append(notification *queued) {
  queued->next = NULL;
  *last = queued;
  last = &queued->next;
  WakeAllConditionVariable(&changed);
}

static notification *make_notification(HANDLE handle, LONG64 target, DWORD type, HRESULT status, const WCHAR *data) {
  notification *made = malloc(sizeof *made);
  if (made == NULL) abort();
  *made = (notification){NULL, handle, target, type, status, data != NULL ? _wcsdup(data) : NULL};
  return made;
}

/* Lets go of the lock during the callbacks. What finds no callback waits for the first one. */
static void tell(HANDLE handle, const notification *told) {
  BOOL heard = FALSE;
  for (int i = 0; i < MAX_OBJECTS; i++) {
    object *listener = &objects[i];
    if (listener->kind != REGISTRATION || listener->owner != handle) continue;
    heard = TRUE;
    notification_callback callback = listener->callback;
    void *context = listener->context;
    called_back = handle_of(listener);
    LeaveCriticalSection(&lock);
    callback(told->type, context, told->status, told->data);
    EnterCriticalSection(&lock);
    called_back = NULL;
    WakeAllConditionVariable(&changed);
  }
  object *owner = &objects[((ULONG_PTR)handle >> 3) & (MAX_OBJECTS - 1)];
  if (heard || owner->kind == FREE || handle_of(owner) != handle) return;
  notification **end = &owner->held;
  while (*end != NULL) end = &(*end)->next;
  *end = make_notification(handle, 0, told->type, told->status, told->data);
}

static DWORD WINAPI tell_all(LPVOID argument) {
  (void)argument;
  EnterCriticalSection(&lock);
  telling_thread = GetCurrentThreadId();
  for (;;) {
    while (first == NULL) SleepConditionVariableCS(&changed, &lock, INFINITE);
    notification *told = first;
    first = told->next;
    if (first == NULL) last = &first;
    if (told->handle != NULL) tell(told->handle, told);
    for (int i = 0; told->handle == NULL && i < MAX_OBJECTS; i++) {
      const object *owner = &objects[i];
      if (owner->kind != SYSTEM && owner->kind != PROCESS) continue;
      if (told->target == 0 || owner->target == told->target) tell(handle_of(owner), told);
    }
    free_notification(told);
  }
  return 0;
}

/* HCS_EVENT_TYPE, which the service speaks of, to what this DLL tells. */
static const struct {
  LONG64 event;
  notification_type type;
} types[] = {
    {1, SYSTEM_EXITED},
    {2, SYSTEM_CRASH_INITIATED},
    {3, SYSTEM_CRASH_REPORT},
    {4, SYSTEM_RDP_ENHANCED_MODE_STATE_CHANGED},
    {5, SYSTEM_SILO_JOB_CREATED},
    {6, SYSTEM_GUEST_CONNECTION_CLOSED},
    {0x10000, PROCESS_EXITED},
    {0x02000000, SERVICE_DISCONNECT},
};

/* The status of an end is in its document too. */
static HRESULT status_in(const WCHAR *data) {
  if (data == NULL) return S_OK;
  json_writer ascii = {0};
  json_append(&ascii, "");
  for (; *data != 0; data++) json_append(&ascii, (char[]){*data < 0x80 ? (char)*data : '?', '\0'});
  HRESULT status = (HRESULT)json_number(ascii.text, "Status", S_OK);
  free(ascii.text);
  return status;
}

static void tell_event(LONG64 event, LONG64 target, const WCHAR *data) {
  DWORD type = event < 0 ? NOTHING : (DWORD)event;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (types[i].event == event) type = types[i].type;
  append(make_notification(NULL, target, type, type == SYSTEM_EXITED ? status_in(data) : S_OK, data));
}

/* The end of a call that was left pending. Only the failure of a shutdown is told, its success is an exit. */
static void tell_completion(object *call) {
  BOOL silent = call->completion == SYSTEM_SHUTDOWN_FAILED && SUCCEEDED(call->result);
  for (LONG64 i = 0; i < call->times && !silent; i++)
    append(make_notification(call->owner, 0, call->completion, call->result, call->document));
  discard(call);
}

static void service_is_gone(void) {
  for (int i = 0; i < MAX_OBJECTS; i++) {
    object *call = &objects[i];
    if (call->kind != CALL || call->detached) continue;
    if (!call->accepted) call->accept_result = E_SERVICE_DISCONNECT;
    call->result = E_SERVICE_DISCONNECT;
    call->accepted = call->done = TRUE;
  }
  append(make_notification(NULL, 0, SERVICE_DISCONNECT, S_OK, NULL));
}

/* The lines are those of operations.c; "pending" with an answer: 1 leaves the call pending, 0 waits for its end. */
static void take_answer(const char *line) {
  object *call = find_object((HANDLE)(ULONG_PTR)json_number(line, "id", 0), CALL);
  if (call == NULL) return;
  const LONG64 none = 0x7fffffffffffffff;
  LONG64 accepted = json_number(line, "accepted", none), completed = json_number(line, "completed", none);
  if (accepted != none) {
    call->accepted = TRUE;
    call->accept_result = (HRESULT)accepted;
    call->new_target = json_number(line, "target", 0);
    call->pending = json_number(line, "pending", -1);
    call->document = json_string(line, "document");
  }
  if (completed != none) {
    call->done = TRUE;
    call->result = (HRESULT)completed;
    free(call->document);
    call->document = json_string(line, "document");
    call->process_id = (DWORD)json_number(line, "processId", 0);
    call->streams = (DWORD)json_number(line, "streams", 0);
    call->times = json_number(line, "times", 1);
    if (call->detached) tell_completion(call);
  }
}

/* From here on nothing needs the lock. */

static void on_line(const char *line) {
  EnterCriticalSection(&lock);
  if (line == NULL) {
    service_is_gone();
  } else if (json_number(line, "event", 0) != 0) {
    WCHAR *data = json_string(line, "data");
    tell_event(json_number(line, "event", 0), json_number(line, "target", 0), data);
    free(data);
  } else {
    take_answer(line);
  }
  WakeAllConditionVariable(&changed);
  LeaveCriticalSection(&lock);
}

static BOOL send_call(HANDLE id, const char *name, LONG64 target, int count, const WCHAR *const *strings) {
  json_writer line = {0};
  json_append(&line, "{\"id\":");
  json_append_number(&line, (LONG64)(ULONG_PTR)id);
  json_append(&line, ",\"call\":\"");
  json_append(&line, name);
  json_append(&line, "\",\"target\":");
  json_append_number(&line, target);
  json_append(&line, ",\"arguments\":[");
  for (int i = 0; i < count; i++) {
    if (i > 0) json_append(&line, ",");
    json_append_string(&line, strings[i]);
  }
  json_append(&line, "]}\n");
  BOOL sent = service_send(line.text, on_line);
  free(line.text);
  return sent;
}

static void open_pipes(process_information *information, DWORD streams, LONG64 target) {
  if (streams & 1 << STANDARD_INPUT) information->StdInput = open_process_pipe(target, STANDARD_INPUT);
  if (streams & 1 << STANDARD_OUTPUT) information->StdOutput = open_process_pipe(target, STANDARD_OUTPUT);
  if (streams & 1 << STANDARD_ERROR) information->StdError = open_process_pipe(target, STANDARD_ERROR);
}

HRESULT carry_out(service_call what, int count, const WCHAR *const *strings) {
  if (what.opened != NULL) *what.opened = NULL;
  if (what.document != NULL) *what.document = NULL;
  if (what.result != NULL) *what.result = NULL;
  if (what.information != NULL) memset(what.information, 0, sizeof *what.information);
  EnterCriticalSection(&lock);
  const object *about = what.kind != FREE ? find_object(what.handle, what.kind) : NULL;
  LONG64 target = about != NULL ? about->target : 0;
  if (what.kind != FREE && about == NULL) {
    LeaveCriticalSection(&lock);
    return E_BAD_HANDLE;
  }
  object *call = make(CALL);
  HANDLE id = handle_of(call);
  LeaveCriticalSection(&lock);

  BOOL sent = send_call(id, what.name, target, count, strings);
  EnterCriticalSection(&lock);
  if (!sent) {
    call->accepted = TRUE;
    call->accept_result = E_SERVICE_NOT_AVAILABLE;
  }
  while (!call->accepted) SleepConditionVariableCS(&changed, &lock, INFINITE);
  HRESULT result = call->accept_result;
  LONG64 new_target = call->new_target;
  HANDLE opened = NULL;
  if (SUCCEEDED(result) && what.opened != NULL && new_target != 0) {
    object *made = make(what.opens);
    made->target = new_target;
    opened = handle_of(made);
  }
  BOOL leave_pending = call->pending < 0 ? what.end == PENDING : call->pending == 1;
  if (SUCCEEDED(result) && what.end != ANSWERED && !leave_pending) {
    while (!call->done) SleepConditionVariableCS(&changed, &lock, INFINITE);
    result = call->result;
    /* Its end is told by nobody, so it has none. */
    leave_pending = SUCCEEDED(result) && call->times == 0;
  }
  if (SUCCEEDED(result) && what.end != ANSWERED && leave_pending) {
    call->detached = TRUE;
    call->owner = opened != NULL ? opened : what.handle;
    call->completion = what.completion;
    if (call->done) tell_completion(call);
    result = E_VMCOMPUTE_OPERATION_PENDING;
  } else {
    PWSTR *to = SUCCEEDED(result) && what.document != NULL ? what.document : what.result;
    if (to != NULL) *to = ledger_give_string(call->document, FREED_WITH_CO_TASK_MEM_FREE);
    if (FAILED(result) && opened != NULL) {
      discard(find_object(opened, what.opens));
      opened = NULL;
    }
    DWORD process_id = call->process_id, streams = call->streams;
    discard(call);
    if (SUCCEEDED(result) && what.information != NULL) {
      what.information->ProcessId = process_id;
      LeaveCriticalSection(&lock);
      open_pipes(what.information, streams, new_target != 0 ? new_target : target);
      EnterCriticalSection(&lock);
    }
  }
  LeaveCriticalSection(&lock);
  if (what.opened != NULL) *what.opened = opened;
  return result;
}

HRESULT register_callback(HANDLE owner, object_kind kind, notification_callback callback, void *context, HANDLE *registered) {
  if (callback == NULL || registered == NULL) return E_INVALIDARG;
  *registered = NULL;
  EnterCriticalSection(&lock);
  object *found = find_object(owner, kind);
  if (found != NULL) {
    object *made = make(REGISTRATION);
    made->owner = owner;
    made->callback = callback;
    made->context = context;
    *registered = handle_of(made);
    for (notification *next; found->held != NULL;) {
      next = found->held->next;
      append(found->held);
      found->held = next;
    }
  }
  LeaveCriticalSection(&lock);
  return found != NULL ? S_OK : E_BAD_HANDLE;
}

HRESULT unregister_callback(HANDLE registered) {
  EnterCriticalSection(&lock);
  object *found = find_object(registered, REGISTRATION);
  if (found != NULL) {
    found->owner = NULL;
    while (called_back == registered && telling_thread != GetCurrentThreadId())
      SleepConditionVariableCS(&changed, &lock, INFINITE);
    discard(found);
  }
  LeaveCriticalSection(&lock);
  return found != NULL ? S_OK : E_BAD_HANDLE;
}

HRESULT close_handle(HANDLE handle, object_kind kind) {
  EnterCriticalSection(&lock);
  object *found = find_object(handle, kind);
  if (found != NULL) discard(found);
  LeaveCriticalSection(&lock);
  return found != NULL ? S_OK : E_BAD_HANDLE;
}

BOOL notifications_prepare(void) {
  InitializeCriticalSection(&lock);
  HANDLE thread = CreateThread(NULL, 0, tell_all, NULL, 0, NULL);
  if (thread != NULL) CloseHandle(thread);
  return thread != NULL;
}
