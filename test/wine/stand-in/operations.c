#include "service-link.h"
#include "operations.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "json-line.h"
#include "ledger.h"
#include "process-pipes.h"

#define MAX_OBJECTS 65536
#define SLOT_BITS 16
static object objects[MAX_OBJECTS];
CRITICAL_SECTION operations_lock;
static CONDITION_VARIABLE changed = CONDITION_VARIABLE_INIT;
/* The handle whose callback runs now, and the thread that runs it. */
static HANDLE called_back;
static DWORD event_thread;

HANDLE handle_of(const object *found) {
  ULONG64 slot = (ULONG64)(found - objects);
  return (HANDLE)(ULONG_PTR)((((ULONG64)found->generation << SLOT_BITS | slot) << 3) | found->kind);
}

object *find_object(HANDLE handle, object_kind kind) {
  object *found = &objects[((ULONG_PTR)handle >> 3) & (MAX_OBJECTS - 1)];
  return handle != NULL && found->kind == kind && handle_of(found) == handle ? found : NULL;
}

/* Needs the lock. Slots are taken in turn, so that a number is not soon used again. */
static object *make(object_kind kind) {
  static unsigned next;
  for (int tries = 0; tries < MAX_OBJECTS; tries++) {
    object *made = &objects[++next % MAX_OBJECTS];
    if (made->kind != FREE) continue;
    unsigned generation = made->generation + 1;
    memset(made, 0, sizeof *made);
    made->kind = kind;
    made->generation = generation;
    if (kind != REQUEST) ledger_handle_opened();
    return made;
  }
  abort();
}

/* Needs the lock. */
static void discard(object *old) {
  if (old->kind != REQUEST) ledger_handle_closed();
  free(old->document);
  old->document = NULL;
  old->kind = FREE;
}

static HANDLE open_object(object_kind kind, LONG64 target) {
  if (target == 0) return NULL;
  EnterCriticalSection(&operations_lock);
  object *made = make(kind);
  made->target = target;
  HANDLE handle = handle_of(made);
  LeaveCriticalSection(&operations_lock);
  return handle;
}

void close_object(HANDLE handle, object_kind kind) {
  EnterCriticalSection(&operations_lock);
  object *found = find_object(handle, kind);
  if (found != NULL) {
    found->on_event = NULL;
    while (called_back == handle && event_thread != GetCurrentThreadId())
      SleepConditionVariableCS(&changed, &operations_lock, INFINITE);
    discard(found);
  }
  LeaveCriticalSection(&operations_lock);
}

LONG64 target_of(HANDLE handle, object_kind kind) {
  EnterCriticalSection(&operations_lock);
  object *found = find_object(handle, kind);
  LONG64 target = found != NULL ? found->target : 0;
  LeaveCriticalSection(&operations_lock);
  return target;
}

/* Completions come on threads of the pool, as many at a time as there are. */

typedef struct {
  HCS_OPERATION operation;
  void *context;
  HCS_OPERATION_COMPLETION callback;
  LONG64 times;
} completion;

static DWORD WINAPI complete(LPVOID argument) {
  completion *call = argument;
  for (LONG64 i = 0; i < call->times; i++) call->callback(call->operation, call->context);
  free(call);
  return 0;
}

static void call_back(const object *operation, HCS_OPERATION_COMPLETION callback, LONG64 times) {
  completion *call = malloc(sizeof *call);
  if (call == NULL) abort();
  *call = (completion){(HCS_OPERATION)handle_of(operation), (void *)operation->context, callback, times};
  QueueUserWorkItem(complete, call, WT_EXECUTELONGFUNCTION);
}

/* Events come one after another, on one thread. */

typedef struct event {
  struct event *next;
  LONG64 type, target;
  WCHAR *data;
} event;

static event *first_event, **last_event = &first_event;

/* Needs the lock, and lets go of it during the callback. */
static void tell(HANDLE handle, const object *listener, const event *told) {
  HCS_EVENT_CALLBACK callback = listener->on_event;
  void *context = (void *)listener->context;
  HCS_EVENT copy = {(HCS_EVENT_TYPE)told->type, told->data, NULL};
  called_back = handle;
  LeaveCriticalSection(&operations_lock);
  callback(told->type < 0 ? NULL : &copy, context);
  EnterCriticalSection(&operations_lock);
  called_back = NULL;
  WakeAllConditionVariable(&changed);
}

static DWORD WINAPI tell_events(LPVOID argument) {
  (void)argument;
  EnterCriticalSection(&operations_lock);
  event_thread = GetCurrentThreadId();
  for (;;) {
    while (first_event == NULL) SleepConditionVariableCS(&changed, &operations_lock, INFINITE);
    event *told = first_event;
    first_event = told->next;
    if (first_event == NULL) last_event = &first_event;
    for (int i = 0; i < MAX_OBJECTS; i++) {
      object *listener = &objects[i];
      if ((listener->kind != SYSTEM && listener->kind != PROCESS) || listener->on_event == NULL) continue;
      if (told->target != 0 && listener->target != told->target) continue;
      tell(handle_of(listener), listener, told);
    }
    free(told->data);
    free(told);
  }
  return 0;
}

/* Needs the lock. */
static void queue_event(LONG64 type, LONG64 target, WCHAR *data) {
  event *queued = malloc(sizeof *queued);
  if (queued == NULL) abort();
  *queued = (event){NULL, type, target, data};
  *last_event = queued;
  last_event = &queued->next;
}

/* Needs the lock. */
static void service_is_gone(void) {
  for (int i = 0; i < MAX_OBJECTS; i++) {
    object *waiting = &objects[i];
    if (waiting->kind != OPERATION && waiting->kind != REQUEST) continue;
    if (!waiting->accepted) {
      waiting->accepted = TRUE;
      waiting->accept_result = E_SERVICE_DISCONNECT;
    }
    if (waiting->phase != STARTED) continue;
    waiting->phase = DONE;
    waiting->result = E_SERVICE_DISCONNECT;
    if (waiting->on_completion != NULL) call_back(waiting, waiting->on_completion, 1);
  }
  queue_event(HcsEventServiceDisconnect, 0, NULL);
}

/*
 * {"id", "accepted", "target"?, "document"?}              the call has returned this
 * {"id", "completed", "document"?, "processId"?, "streams"?, "times"?}
 *                                                         the operation has ended; call back so many times
 * {"event", "target", "data"?}                            an event; a negative one comes without a structure
 */
static void on_line(const char *line) {
  EnterCriticalSection(&operations_lock);
  if (line == NULL) {
    service_is_gone();
  } else if (json_number(line, "event", 0) != 0) {
    queue_event(json_number(line, "event", 0), json_number(line, "target", 0), json_string(line, "data"));
  } else {
    HANDLE handle = (HANDLE)(ULONG_PTR)json_number(line, "id", 0);
    object *found = find_object(handle, REQUEST);
    if (found == NULL) found = find_object(handle, OPERATION);
    const LONG64 none = 0x7fffffffffffffff;
    LONG64 accepted = json_number(line, "accepted", none), completed = json_number(line, "completed", none);
    if (found != NULL && accepted != none) {
      found->accepted = TRUE;
      found->accept_result = (HRESULT)accepted;
      found->new_target = json_number(line, "target", 0);
      if (found->kind == REQUEST) found->document = json_string(line, "document");
    }
    if (found != NULL && completed != none) {
      found->phase = DONE;
      found->result = (HRESULT)completed;
      free(found->document);
      found->document = json_string(line, "document");
      found->process_id = (DWORD)json_number(line, "processId", 0);
      found->streams = (DWORD)json_number(line, "streams", 0);
      LONG64 times = json_number(line, "times", 1);
      if (found->on_completion != NULL && times > 0) call_back(found, found->on_completion, times);
    }
  }
  WakeAllConditionVariable(&changed);
  LeaveCriticalSection(&operations_lock);
}

/* Sends {"id", "call", "target", "arguments"} and waits until the call is accepted or refused. */
static HRESULT ask(HANDLE id, object_kind kind, const char *call, LONG64 target, DWORD timeoutMs, int count, va_list arguments) {
  json_writer line = {0};
  json_append(&line, "{\"id\":");
  json_append_number(&line, (LONG64)(ULONG_PTR)id);
  json_append(&line, ",\"call\":\"");
  json_append(&line, call);
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
  if (!sent) return E_SERVICE_NOT_AVAILABLE;
  ULONG64 deadline = GetTickCount64() + timeoutMs;
  HRESULT result = E_BAD_HANDLE;
  EnterCriticalSection(&operations_lock);
  for (object *found; (found = find_object(id, kind)) != NULL;) {
    if (found->accepted) {
      result = found->accept_result;
      break;
    }
    ULONG64 now = GetTickCount64();
    if (timeoutMs != INFINITE && now >= deadline) {
      result = E_OPERATION_TIMEOUT;
      break;
    }
    SleepConditionVariableCS(&changed, &operations_lock, timeoutMs == INFINITE ? INFINITE : (DWORD)(deadline - now));
  }
  LeaveCriticalSection(&operations_lock);
  return result;
}

HRESULT begin(beginning what, const char *call, int count, ...) {
  LONG64 target = 0;
  if (what.process != NULL) target = target_of(what.process, PROCESS);
  else if (what.system != NULL) target = target_of(what.system, SYSTEM);
  if ((what.process != NULL || what.system != NULL) && target == 0) return E_BAD_HANDLE;
  if (what.opened != NULL) *what.opened = NULL;

  EnterCriticalSection(&operations_lock);
  object *operation = find_object(what.operation, OPERATION);
  HRESULT result = operation == NULL ? E_BAD_HANDLE : operation->phase != IDLE ? E_OPERATION_ALREADY_STARTED : S_OK;
  if (SUCCEEDED(result)) {
    operation->phase = STARTED;
    operation->type = what.type;
    operation->system = what.system;
    operation->process = what.process;
  }
  LeaveCriticalSection(&operations_lock);
  if (FAILED(result)) return result;

  va_list arguments;
  va_start(arguments, count);
  result = ask(what.operation, OPERATION, call, target, INFINITE, count, arguments);
  va_end(arguments);

  EnterCriticalSection(&operations_lock);
  operation = find_object(what.operation, OPERATION);
  LONG64 new_target = operation != NULL ? operation->new_target : 0;
  if (operation != NULL && FAILED(result)) operation->phase = IDLE;
  LeaveCriticalSection(&operations_lock);
  if (SUCCEEDED(result) && what.opened != NULL) {
    *what.opened = open_object(what.opens, new_target);
    EnterCriticalSection(&operations_lock);
    operation = find_object(what.operation, OPERATION);
    if (operation != NULL && what.opens == SYSTEM) operation->system = *what.opened;
    if (operation != NULL && what.opens == PROCESS) operation->process = *what.opened;
    LeaveCriticalSection(&operations_lock);
  }
  return result;
}

HRESULT request(const char *call, LONG64 target, DWORD timeoutMs, PWSTR *document, object_kind opens, HANDLE *opened, int count, ...) {
  EnterCriticalSection(&operations_lock);
  HANDLE id = handle_of(make(REQUEST));
  LeaveCriticalSection(&operations_lock);
  va_list arguments;
  va_start(arguments, count);
  HRESULT result = ask(id, REQUEST, call, target, timeoutMs, count, arguments);
  va_end(arguments);
  EnterCriticalSection(&operations_lock);
  object *found = find_object(id, REQUEST);
  LONG64 new_target = found->new_target;
  if (document != NULL) *document = ledger_give_string(found->document, FREED_WITH_LOCAL_FREE);
  discard(found);
  LeaveCriticalSection(&operations_lock);
  if (opened != NULL) *opened = SUCCEEDED(result) ? open_object(opens, new_target) : NULL;
  return result;
}

HCS_OPERATION make_operation(const void *context, HCS_OPERATION_COMPLETION callback) {
  EnterCriticalSection(&operations_lock);
  object *made = make(OPERATION);
  made->type = HcsOperationTypeNone;
  made->context = context;
  made->on_completion = callback;
  HCS_OPERATION handle = (HCS_OPERATION)handle_of(made);
  LeaveCriticalSection(&operations_lock);
  return handle;
}

HRESULT set_operation_callback(HCS_OPERATION operation, const void *context, HCS_OPERATION_COMPLETION callback) {
  EnterCriticalSection(&operations_lock);
  object *found = find_object(operation, OPERATION);
  if (found != NULL) {
    found->context = context;
    found->on_completion = callback;
    if (found->phase == DONE) call_back(found, callback, 1);
  }
  LeaveCriticalSection(&operations_lock);
  return found != NULL ? S_OK : E_BAD_HANDLE;
}

HRESULT set_event_callback(HANDLE handle, object_kind kind, const void *context, HCS_EVENT_CALLBACK callback) {
  EnterCriticalSection(&operations_lock);
  object *found = find_object(handle, kind);
  HRESULT result = found == NULL ? E_BAD_HANDLE : found->on_event != NULL && callback != NULL ? E_CALLBACK_ALREADY_SET : S_OK;
  if (SUCCEEDED(result)) {
    found->context = context;
    found->on_event = callback;
  }
  LeaveCriticalSection(&operations_lock);
  return result;
}

HRESULT result_of(HCS_OPERATION operation, DWORD timeoutMs, HCS_PROCESS_INFORMATION *information, PWSTR *document) {
  if (document != NULL) *document = NULL;
  if (information != NULL) memset(information, 0, sizeof *information);
  ULONG64 deadline = GetTickCount64() + timeoutMs;
  HRESULT result = E_BAD_HANDLE;
  DWORD streams = 0;
  LONG64 target = 0;
  EnterCriticalSection(&operations_lock);
  for (object *found; (found = find_object(operation, OPERATION)) != NULL;) {
    if (found->phase == IDLE) {
      result = E_OPERATION_NOT_STARTED;
      break;
    }
    if (found->phase == DONE) {
      result = found->result;
      if (document != NULL) *document = ledger_give_string(found->document, FREED_WITH_LOCAL_FREE);
      if (information != NULL) {
        information->ProcessId = found->process_id;
        streams = found->streams;
        target = found->new_target;
        found->streams = 0;
      }
      break;
    }
    ULONG64 now = GetTickCount64();
    if (timeoutMs != INFINITE && now >= deadline) {
      result = timeoutMs == 0 ? E_OPERATION_PENDING : E_OPERATION_TIMEOUT;
      break;
    }
    SleepConditionVariableCS(&changed, &operations_lock, timeoutMs == INFINITE ? INFINITE : (DWORD)(deadline - now));
  }
  LeaveCriticalSection(&operations_lock);
  if (streams & 1 << STANDARD_INPUT) information->StdInput = open_process_pipe(target, STANDARD_INPUT);
  if (streams & 1 << STANDARD_OUTPUT) information->StdOutput = open_process_pipe(target, STANDARD_OUTPUT);
  if (streams & 1 << STANDARD_ERROR) information->StdError = open_process_pipe(target, STANDARD_ERROR);
  return result;
}

BOOL operations_prepare(void) {
  InitializeCriticalSection(&operations_lock);
  HANDLE thread = CreateThread(NULL, 0, tell_events, NULL, 0, NULL);
  if (thread != NULL) CloseHandle(thread);
  return thread != NULL;
}
