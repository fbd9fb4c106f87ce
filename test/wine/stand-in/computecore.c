/*
 * A stand-in for computecore.dll. Its prototypes are checked against mingw-w64's computecore.h, which knows
 * nothing of this project; procedures which that header lacks are declared below. What systems and processes
 * do is decided by the service at the other end of service-link.h. What a DLL must do is done here and in
 * operations.c: handles, operations, strings, and callbacks from threads of its own.
 */
#include <windows.h>

#include <computecore.h>
#include <stdlib.h>
#include "ledger.h"
#include "operations.h"

#define EXPORT __declspec(dllexport)

EXPORT HCS_OPERATION WINAPI HcsCreateOperationWithNotifications(DWORD eventTypes, const void *context,
                                                                HCS_OPERATION_COMPLETION callback);
EXPORT HRESULT WINAPI HcsAddResourceToOperation(HCS_OPERATION operation, DWORD type, PCWSTR uri, HANDLE handle);
EXPORT HRESULT WINAPI HcsGetOperationProperties(HCS_OPERATION operation, PCWSTR options, PWSTR *resultDocument);
EXPORT HRESULT WINAPI HcsInitializeLiveMigrationOnSource(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
EXPORT HRESULT WINAPI HcsStartLiveMigrationOnSource(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
EXPORT HRESULT WINAPI HcsStartLiveMigrationTransfer(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
EXPORT HRESULT WINAPI HcsFinalizeLiveMigration(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);
EXPORT HRESULT WINAPI HcsCancelLiveMigration(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options);

#define COUNTED() ledger_count_call(__func__)

/* Operations */

EXPORT HCS_OPERATION WINAPI HcsCreateOperation(const void *context, HCS_OPERATION_COMPLETION callback) {
  COUNTED();
  return make_operation(context, callback);
}

HCS_OPERATION WINAPI HcsCreateOperationWithNotifications(DWORD eventTypes, const void *context,
                                                         HCS_OPERATION_COMPLETION callback) {
  COUNTED();
  (void)eventTypes;
  return make_operation(context, callback);
}

EXPORT void WINAPI HcsCloseOperation(HCS_OPERATION operation) {
  COUNTED();
  close_object(operation, OPERATION);
}

EXPORT void *WINAPI HcsGetOperationContext(HCS_OPERATION operation) {
  COUNTED();
  EnterCriticalSection(&operations_lock);
  object *found = find_object(operation, OPERATION);
  void *context = found != NULL ? (void *)found->context : NULL;
  LeaveCriticalSection(&operations_lock);
  return context;
}

EXPORT HRESULT WINAPI HcsSetOperationContext(HCS_OPERATION operation, const void *context) {
  COUNTED();
  EnterCriticalSection(&operations_lock);
  object *found = find_object(operation, OPERATION);
  if (found != NULL) found->context = context;
  LeaveCriticalSection(&operations_lock);
  return found != NULL ? S_OK : E_BAD_HANDLE;
}

EXPORT HRESULT WINAPI HcsSetOperationCallback(HCS_OPERATION operation, const void *context, HCS_OPERATION_COMPLETION callback) {
  COUNTED();
  return set_operation_callback(operation, context, callback);
}

EXPORT HCS_SYSTEM WINAPI HcsGetComputeSystemFromOperation(HCS_OPERATION operation) {
  COUNTED();
  EnterCriticalSection(&operations_lock);
  object *found = find_object(operation, OPERATION);
  HANDLE system = found != NULL ? found->system : NULL;
  LeaveCriticalSection(&operations_lock);
  return (HCS_SYSTEM)system;
}

EXPORT HCS_PROCESS WINAPI HcsGetProcessFromOperation(HCS_OPERATION operation) {
  COUNTED();
  EnterCriticalSection(&operations_lock);
  object *found = find_object(operation, OPERATION);
  HANDLE process = found != NULL ? found->process : NULL;
  LeaveCriticalSection(&operations_lock);
  return (HCS_PROCESS)process;
}

EXPORT HCS_OPERATION_TYPE WINAPI HcsGetOperationType(HCS_OPERATION operation) {
  COUNTED();
  EnterCriticalSection(&operations_lock);
  object *found = find_object(operation, OPERATION);
  HCS_OPERATION_TYPE type = found != NULL ? found->type : HcsOperationTypeNone;
  LeaveCriticalSection(&operations_lock);
  return type;
}

EXPORT UINT64 WINAPI HcsGetOperationId(HCS_OPERATION operation) {
  COUNTED();
  EnterCriticalSection(&operations_lock);
  UINT64 id = find_object(operation, OPERATION) != NULL ? (UINT64)(ULONG_PTR)operation : HCS_INVALID_OPERATION_ID;
  LeaveCriticalSection(&operations_lock);
  return id;
}

EXPORT HRESULT WINAPI HcsGetOperationResult(HCS_OPERATION operation, PWSTR *resultDocument) {
  COUNTED();
  return result_of(operation, 0, NULL, resultDocument);
}

EXPORT HRESULT WINAPI HcsGetOperationResultAndProcessInfo(HCS_OPERATION operation, HCS_PROCESS_INFORMATION *processInformation,
                                                   PWSTR *resultDocument) {
  COUNTED();
  return result_of(operation, 0, processInformation, resultDocument);
}

EXPORT HRESULT WINAPI HcsWaitForOperationResult(HCS_OPERATION operation, DWORD timeoutMs, PWSTR *resultDocument) {
  COUNTED();
  return result_of(operation, timeoutMs, NULL, resultDocument);
}

EXPORT HRESULT WINAPI HcsWaitForOperationResultAndProcessInfo(HCS_OPERATION operation, DWORD timeoutMs,
                                                       HCS_PROCESS_INFORMATION *processInformation, PWSTR *resultDocument) {
  COUNTED();
  return result_of(operation, timeoutMs, processInformation, resultDocument);
}

EXPORT HRESULT WINAPI HcsCancelOperation(HCS_OPERATION operation) {
  COUNTED();
  EnterCriticalSection(&operations_lock);
  object *found = find_object(operation, OPERATION);
  HRESULT result = found == NULL ? E_BAD_HANDLE : found->phase == IDLE ? E_OPERATION_NOT_STARTED : S_OK;
  BOOL runs = found != NULL && found->phase == STARTED;
  LeaveCriticalSection(&operations_lock);
  if (!runs) return result;
  WCHAR number[24];
  _ui64tow((ULONG_PTR)operation, number, 10);
  return request(__func__, 0, INFINITE, NULL, FREE, NULL, 1, number);
}

HRESULT WINAPI HcsGetOperationProperties(HCS_OPERATION operation, PCWSTR options, PWSTR *resultDocument) {
  COUNTED();
  (void)options;
  EnterCriticalSection(&operations_lock);
  BOOL found = find_object(operation, OPERATION) != NULL;
  LeaveCriticalSection(&operations_lock);
  *resultDocument = found ? ledger_give_string(L"{}", FREED_WITH_LOCAL_FREE) : NULL;
  return found ? S_OK : E_BAD_HANDLE;
}

HRESULT WINAPI HcsAddResourceToOperation(HCS_OPERATION operation, DWORD type, PCWSTR uri, HANDLE handle) {
  COUNTED();
  if (type == 0 || uri == NULL || handle == NULL) return E_INVALIDARG;
  EnterCriticalSection(&operations_lock);
  BOOL found = find_object(operation, OPERATION) != NULL;
  LeaveCriticalSection(&operations_lock);
  return found ? S_OK : E_BAD_HANDLE;
}

/* Systems */

EXPORT HRESULT WINAPI HcsEnumerateComputeSystems(PCWSTR query, HCS_OPERATION operation) {
  COUNTED();
  return begin((beginning){.operation = operation, .type = HcsOperationTypeEnumerate}, __func__, 1, query);
}

EXPORT HRESULT WINAPI HcsEnumerateComputeSystemsInNamespace(PCWSTR idNamespace, PCWSTR query, HCS_OPERATION operation) {
  COUNTED();
  return begin((beginning){.operation = operation, .type = HcsOperationTypeEnumerate}, __func__, 2, query, idNamespace);
}

EXPORT HRESULT WINAPI HcsCreateComputeSystem(PCWSTR id, PCWSTR configuration, HCS_OPERATION operation,
                                      const SECURITY_DESCRIPTOR *securityDescriptor, HCS_SYSTEM *computeSystem) {
  COUNTED();
  if (securityDescriptor != NULL || computeSystem == NULL) return E_INVALIDARG;
  return begin((beginning){operation, HcsOperationTypeCreate, NULL, NULL, SYSTEM, (HANDLE *)computeSystem}, __func__, 2, id,
               configuration);
}

EXPORT HRESULT WINAPI HcsCreateComputeSystemInNamespace(PCWSTR idNamespace, PCWSTR id, PCWSTR configuration, HCS_OPERATION operation,
                                                 const HCS_CREATE_OPTIONS *options, HCS_SYSTEM *computeSystem) {
  COUNTED();
  if (options != NULL || computeSystem == NULL) return E_INVALIDARG;
  return begin((beginning){operation, HcsOperationTypeCreate, NULL, NULL, SYSTEM, (HANDLE *)computeSystem}, __func__, 3, id,
               configuration, idNamespace);
}

EXPORT HRESULT WINAPI HcsOpenComputeSystem(PCWSTR id, DWORD requestedAccess, HCS_SYSTEM *computeSystem) {
  COUNTED();
  if (requestedAccess == 0) return E_ACCESSDENIED;
  return request(__func__, 0, INFINITE, NULL, SYSTEM, (HANDLE *)computeSystem, 1, id);
}

EXPORT HRESULT WINAPI HcsOpenComputeSystemInNamespace(PCWSTR idNamespace, PCWSTR id, DWORD requestedAccess, HCS_SYSTEM *computeSystem) {
  COUNTED();
  if (requestedAccess == 0) return E_ACCESSDENIED;
  return request(__func__, 0, INFINITE, NULL, SYSTEM, (HANDLE *)computeSystem, 2, id, idNamespace);
}

EXPORT void WINAPI HcsCloseComputeSystem(HCS_SYSTEM computeSystem) {
  COUNTED();
  LONG64 target = target_of(computeSystem, SYSTEM);
  close_object(computeSystem, SYSTEM);
  if (target != 0) request(__func__, target, INFINITE, NULL, FREE, NULL, 0);
}

#define SYSTEM_CALL(name, operation_type)                                                                          \
  EXPORT HRESULT WINAPI name(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR options) {                   \
    COUNTED();                                                                                                      \
    if (computeSystem == NULL) return E_BAD_HANDLE;                                                                 \
    return begin((beginning){.operation = operation, .type = operation_type, .system = computeSystem}, __func__, 1, \
                 options);                                                                                          \
  }

SYSTEM_CALL(HcsStartComputeSystem, HcsOperationTypeStart)
SYSTEM_CALL(HcsShutDownComputeSystem, HcsOperationTypeShutdown)
SYSTEM_CALL(HcsTerminateComputeSystem, HcsOperationTypeTerminate)
SYSTEM_CALL(HcsCrashComputeSystem, HcsOperationTypeCrash)
SYSTEM_CALL(HcsPauseComputeSystem, HcsOperationTypePause)
SYSTEM_CALL(HcsResumeComputeSystem, HcsOperationTypeResume)
SYSTEM_CALL(HcsSaveComputeSystem, HcsOperationTypeSave)
SYSTEM_CALL(HcsGetComputeSystemProperties, HcsOperationTypeGetProperties)
SYSTEM_CALL(HcsInitializeLiveMigrationOnSource, HcsOperationTypeNone)
SYSTEM_CALL(HcsStartLiveMigrationOnSource, HcsOperationTypeNone)
SYSTEM_CALL(HcsStartLiveMigrationTransfer, HcsOperationTypeNone)
SYSTEM_CALL(HcsFinalizeLiveMigration, HcsOperationTypeNone)
SYSTEM_CALL(HcsCancelLiveMigration, HcsOperationTypeNone)

EXPORT HRESULT WINAPI HcsModifyComputeSystem(HCS_SYSTEM computeSystem, HCS_OPERATION operation, PCWSTR configuration, HANDLE identity) {
  COUNTED();
  if (computeSystem == NULL) return E_BAD_HANDLE;
  (void)identity;
  return begin((beginning){.operation = operation, .type = HcsOperationTypeModify, .system = computeSystem}, __func__, 1,
               configuration);
}

EXPORT HRESULT WINAPI HcsWaitForComputeSystemExit(HCS_SYSTEM computeSystem, DWORD timeoutMs, PWSTR *result) {
  COUNTED();
  LONG64 target = target_of(computeSystem, SYSTEM);
  return target == 0 ? E_BAD_HANDLE : request(__func__, target, timeoutMs, result, FREE, NULL, 0);
}

EXPORT HRESULT WINAPI HcsSetComputeSystemCallback(HCS_SYSTEM computeSystem, HCS_EVENT_OPTIONS callbackOptions, const void *context,
                                           HCS_EVENT_CALLBACK callback) {
  COUNTED();
  return callbackOptions != HcsEventOptionNone ? E_NOTIMPL : set_event_callback(computeSystem, SYSTEM, context, callback);
}

/* Processes */

EXPORT HRESULT WINAPI HcsCreateProcess(HCS_SYSTEM computeSystem, PCWSTR processParameters, HCS_OPERATION operation,
                                const SECURITY_DESCRIPTOR *securityDescriptor, HCS_PROCESS *process) {
  COUNTED();
  if (computeSystem == NULL) return E_BAD_HANDLE;
  if (securityDescriptor != NULL || process == NULL) return E_INVALIDARG;
  return begin((beginning){operation, HcsOperationTypeCreateProcess, computeSystem, NULL, PROCESS, (HANDLE *)process}, __func__, 1,
               processParameters);
}

EXPORT HRESULT WINAPI HcsOpenProcess(HCS_SYSTEM computeSystem, DWORD processId, DWORD requestedAccess, HCS_PROCESS *process) {
  COUNTED();
  LONG64 target = target_of(computeSystem, SYSTEM);
  if (target == 0) return E_BAD_HANDLE;
  if (requestedAccess == 0) return E_ACCESSDENIED;
  WCHAR pid[16];
  _ultow(processId, pid, 10);
  return request(__func__, target, INFINITE, NULL, PROCESS, (HANDLE *)process, 1, pid);
}

EXPORT void WINAPI HcsCloseProcess(HCS_PROCESS process) {
  COUNTED();
  LONG64 target = target_of(process, PROCESS);
  close_object(process, PROCESS);
  if (target != 0) request(__func__, target, INFINITE, NULL, FREE, NULL, 0);
}

#define PROCESS_CALL(name, operation_type)                                                                      \
  EXPORT HRESULT WINAPI name(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR options) {                     \
    COUNTED();                                                                                                   \
    if (process == NULL) return E_BAD_HANDLE;                                                                    \
    return begin((beginning){.operation = operation, .type = operation_type, .process = process}, __func__, 1,   \
                 options);                                                                                       \
  }

PROCESS_CALL(HcsTerminateProcess, HcsOperationTypeSignalProcess)
PROCESS_CALL(HcsSignalProcess, HcsOperationTypeSignalProcess)
PROCESS_CALL(HcsGetProcessProperties, HcsOperationTypeGetProcessProperties)
PROCESS_CALL(HcsModifyProcess, HcsOperationTypeModifyProcess)

EXPORT HRESULT WINAPI HcsGetProcessInfo(HCS_PROCESS process, HCS_OPERATION operation) {
  COUNTED();
  if (process == NULL) return E_BAD_HANDLE;
  return begin((beginning){.operation = operation, .type = HcsOperationTypeGetProcessInfo, .process = process}, __func__, 0);
}

EXPORT HRESULT WINAPI HcsSetProcessCallback(HCS_PROCESS process, HCS_EVENT_OPTIONS callbackOptions, void *context,
                                     HCS_EVENT_CALLBACK callback) {
  COUNTED();
  return callbackOptions != HcsEventOptionNone ? E_NOTIMPL : set_event_callback(process, PROCESS, context, callback);
}

EXPORT HRESULT WINAPI HcsWaitForProcessExit(HCS_PROCESS process, DWORD timeoutMs, PWSTR *result) {
  COUNTED();
  LONG64 target = target_of(process, PROCESS);
  return target == 0 ? E_BAD_HANDLE : request(__func__, target, timeoutMs, result, FREE, NULL, 0);
}

/* The service, and files of VMs */

EXPORT HRESULT WINAPI HcsGetServiceProperties(PCWSTR propertyQuery, PWSTR *result) {
  COUNTED();
  return request(__func__, 0, INFINITE, result, FREE, NULL, 1, propertyQuery);
}

EXPORT HRESULT WINAPI HcsModifyServiceSettings(PCWSTR settings, PWSTR *result) {
  COUNTED();
  return request(__func__, 0, INFINITE, result, FREE, NULL, 1, settings);
}

EXPORT HRESULT WINAPI HcsGetProcessorCompatibilityFromSavedState(PCWSTR RuntimeFileName, PCWSTR *ProcessorFeaturesString) {
  COUNTED();
  return request(__func__, 0, INFINITE, (PWSTR *)ProcessorFeaturesString, FREE, NULL, 1, RuntimeFileName);
}

#define ONE_STRING_CALL(name)                                                    \
  EXPORT HRESULT WINAPI name(PCWSTR text) {                                      \
    COUNTED();                                                                   \
    return request(__func__, 0, INFINITE, NULL, FREE, NULL, 1, text);            \
  }

ONE_STRING_CALL(HcsSubmitWerReport)
ONE_STRING_CALL(HcsCreateEmptyGuestStateFile)
ONE_STRING_CALL(HcsCreateEmptyRuntimeStateFile)
ONE_STRING_CALL(HcsGrantVmGroupAccess)
ONE_STRING_CALL(HcsRevokeVmGroupAccess)

EXPORT HRESULT WINAPI HcsGrantVmAccess(PCWSTR vmId, PCWSTR filePath) {
  COUNTED();
  return request(__func__, 0, INFINITE, NULL, FREE, NULL, 2, vmId, filePath);
}

EXPORT HRESULT WINAPI HcsRevokeVmAccess(PCWSTR vmId, PCWSTR filePath) {
  COUNTED();
  return request(__func__, 0, INFINITE, NULL, FREE, NULL, 2, vmId, filePath);
}

BOOL WINAPI DllMain(HINSTANCE dll, DWORD reason, LPVOID reserved) {
  (void)dll, (void)reserved;
  return reason != DLL_PROCESS_ATTACH || operations_prepare();
}
