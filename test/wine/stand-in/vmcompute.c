/*
 * A stand-in for vmcompute.dll: its part of the Host Compute Service. No public header has it; the prototypes
 * are those that hcsshim's internal/vmcompute calls it by. The service behind it is the one that stands behind
 * computecore.dll, so calls go there by the names that they have in that DLL.
 */
#include <windows.h>

#include "ledger.h"
#include "notifications.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)
#define STRINGS(...) (int)(sizeof((const WCHAR *[]){__VA_ARGS__}) / sizeof(const WCHAR *)), (const WCHAR *[]){__VA_ARGS__}
#define NO_STRINGS 0, NULL

/* Systems */

EXPORT HRESULT WINAPI HcsEnumerateComputeSystems(PCWSTR query, PWSTR *computeSystems, PWSTR *result) {
  COUNTED();
  if (computeSystems == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .end = COMPLETED, .document = computeSystems, .result = result};
  return carry_out(call, STRINGS(query));
}

EXPORT HRESULT WINAPI HcsCreateComputeSystem(PCWSTR id, PCWSTR configuration, HANDLE identity, HANDLE *computeSystem,
                                             PWSTR *result) {
  COUNTED();
  (void)identity;
  if (id == NULL || configuration == NULL || computeSystem == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .end = PENDING, .completion = SYSTEM_CREATE_COMPLETED, .opens = SYSTEM,
                       .opened = computeSystem, .result = result};
  return carry_out(call, STRINGS(id, configuration));
}

EXPORT HRESULT WINAPI HcsOpenComputeSystem(PCWSTR id, HANDLE *computeSystem, PWSTR *result) {
  COUNTED();
  if (id == NULL || computeSystem == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .opens = SYSTEM, .opened = computeSystem, .result = result};
  return carry_out(call, STRINGS(id));
}

EXPORT HRESULT WINAPI HcsCloseComputeSystem(HANDLE computeSystem) {
  COUNTED();
  HRESULT closed = carry_out((service_call){.name = __func__, .kind = SYSTEM, .handle = computeSystem}, NO_STRINGS);
  return closed == E_BAD_HANDLE ? closed : close_handle(computeSystem, SYSTEM);
}

#define SYSTEM_CALL(procedure, known_as, how, told_by)                                                       \
  EXPORT HRESULT WINAPI procedure(HANDLE computeSystem, PCWSTR options, PWSTR *result) {                     \
    COUNTED();                                                                                               \
    service_call call = {.name = known_as, .end = how, .completion = told_by, .kind = SYSTEM,               \
                         .handle = computeSystem, .result = result};                                         \
    return carry_out(call, STRINGS(options));                                                                \
  }

SYSTEM_CALL(HcsStartComputeSystem, __func__, PENDING, SYSTEM_START_COMPLETED)
SYSTEM_CALL(HcsPauseComputeSystem, __func__, PENDING, SYSTEM_PAUSE_COMPLETED)
SYSTEM_CALL(HcsResumeComputeSystem, __func__, PENDING, SYSTEM_RESUME_COMPLETED)
SYSTEM_CALL(HcsSaveComputeSystem, __func__, PENDING, SYSTEM_SAVE_COMPLETED)
SYSTEM_CALL(HcsModifyComputeSystem, __func__, COMPLETED, SYSTEM_MODIFY_COMPLETED)

/* What has been asked for is pending until the system has exited. Only what asking has come to is in the answer. */
static HRESULT ask_to_end(const char *name, HANDLE computeSystem, PCWSTR options, PWSTR *result) {
  service_call call = {.name = name, .end = COMPLETED, .completion = SYSTEM_SHUTDOWN_FAILED, .kind = SYSTEM,
                       .handle = computeSystem, .result = result};
  HRESULT asked = carry_out(call, STRINGS(options));
  return asked == S_OK ? E_VMCOMPUTE_OPERATION_PENDING : asked;
}

EXPORT HRESULT WINAPI HcsShutdownComputeSystem(HANDLE computeSystem, PCWSTR options, PWSTR *result) {
  COUNTED();
  return ask_to_end("HcsShutDownComputeSystem", computeSystem, options, result);
}

EXPORT HRESULT WINAPI HcsTerminateComputeSystem(HANDLE computeSystem, PCWSTR options, PWSTR *result) {
  COUNTED();
  return ask_to_end(__func__, computeSystem, options, result);
}

EXPORT HRESULT WINAPI HcsGetComputeSystemProperties(HANDLE computeSystem, PCWSTR propertyQuery, PWSTR *properties, PWSTR *result) {
  COUNTED();
  if (properties == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .end = COMPLETED, .completion = SYSTEM_GET_PROPERTIES_COMPLETED, .kind = SYSTEM,
                       .handle = computeSystem, .document = properties, .result = result};
  return carry_out(call, STRINGS(propertyQuery));
}

EXPORT HRESULT WINAPI HcsRegisterComputeSystemCallback(HANDLE computeSystem, notification_callback callback, void *context,
                                                       HANDLE *callbackHandle) {
  COUNTED();
  return register_callback(computeSystem, SYSTEM, callback, context, callbackHandle);
}

EXPORT HRESULT WINAPI HcsUnregisterComputeSystemCallback(HANDLE callbackHandle) {
  COUNTED();
  return unregister_callback(callbackHandle);
}

/* Processes */

EXPORT HRESULT WINAPI HcsCreateProcess(HANDLE computeSystem, PCWSTR processParameters, process_information *processInformation,
                                       HANDLE *process, PWSTR *result) {
  COUNTED();
  if (processParameters == NULL || processInformation == NULL || process == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .end = COMPLETED, .kind = SYSTEM, .handle = computeSystem, .opens = PROCESS,
                       .opened = process, .information = processInformation, .result = result};
  return carry_out(call, STRINGS(processParameters));
}

EXPORT HRESULT WINAPI HcsOpenProcess(HANDLE computeSystem, DWORD processId, HANDLE *process, PWSTR *result) {
  COUNTED();
  if (process == NULL) return E_INVALIDARG;
  WCHAR pid[16];
  _ultow(processId, pid, 10);
  service_call call = {.name = __func__, .kind = SYSTEM, .handle = computeSystem, .opens = PROCESS, .opened = process,
                       .result = result};
  return carry_out(call, STRINGS(pid));
}

EXPORT HRESULT WINAPI HcsCloseProcess(HANDLE process) {
  COUNTED();
  return close_handle(process, PROCESS);
}

EXPORT HRESULT WINAPI HcsTerminateProcess(HANDLE process, PWSTR *result) {
  COUNTED();
  service_call call = {.name = __func__, .end = COMPLETED, .kind = PROCESS, .handle = process, .result = result};
  return carry_out(call, STRINGS(NULL));
}

EXPORT HRESULT WINAPI HcsSignalProcess(HANDLE process, PCWSTR options, PWSTR *result) {
  COUNTED();
  service_call call = {.name = __func__, .end = COMPLETED, .kind = PROCESS, .handle = process, .result = result};
  return carry_out(call, STRINGS(options));
}

EXPORT HRESULT WINAPI HcsGetProcessInfo(HANDLE process, process_information *processInformation, PWSTR *result) {
  COUNTED();
  if (processInformation == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .end = COMPLETED, .kind = PROCESS, .handle = process,
                       .information = processInformation, .result = result};
  return carry_out(call, NO_STRINGS);
}

EXPORT HRESULT WINAPI HcsGetProcessProperties(HANDLE process, PWSTR *processProperties, PWSTR *result) {
  COUNTED();
  if (processProperties == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .end = COMPLETED, .kind = PROCESS, .handle = process, .document = processProperties,
                       .result = result};
  return carry_out(call, STRINGS(NULL));
}

EXPORT HRESULT WINAPI HcsModifyProcess(HANDLE process, PCWSTR settings, PWSTR *result) {
  COUNTED();
  if (settings == NULL) return E_INVALIDARG;
  service_call call = {.name = __func__, .end = COMPLETED, .kind = PROCESS, .handle = process, .result = result};
  return carry_out(call, STRINGS(settings));
}

EXPORT HRESULT WINAPI HcsRegisterProcessCallback(HANDLE process, notification_callback callback, void *context,
                                                 HANDLE *callbackHandle) {
  COUNTED();
  return register_callback(process, PROCESS, callback, context, callbackHandle);
}

EXPORT HRESULT WINAPI HcsUnregisterProcessCallback(HANDLE callbackHandle) {
  COUNTED();
  return unregister_callback(callbackHandle);
}

/* The service */

EXPORT HRESULT WINAPI HcsGetServiceProperties(PCWSTR propertyQuery, PWSTR *properties, PWSTR *result) {
  COUNTED();
  if (properties == NULL) return E_INVALIDARG;
  return carry_out((service_call){.name = __func__, .document = properties, .result = result}, STRINGS(propertyQuery));
}

EXPORT HRESULT WINAPI HcsModifyServiceSettings(PCWSTR settings, PWSTR *result) {
  COUNTED();
  if (settings == NULL) return E_INVALIDARG;
  return carry_out((service_call){.name = __func__, .result = result}, STRINGS(settings));
}

/* Networks, first version */

EXPORT HRESULT WINAPI HNSCall(PCWSTR method, PCWSTR path, PCWSTR object, PWSTR *response) {
  COUNTED();
  if (method == NULL || path == NULL || object == NULL || response == NULL) return E_INVALIDARG;
  return carry_out((service_call){.name = __func__, .document = response}, STRINGS(method, path, object));
}

BOOL WINAPI DllMain(HINSTANCE dll, DWORD reason, LPVOID reserved) {
  (void)dll, (void)reserved;
  return reason != DLL_PROCESS_ATTACH || notifications_prepare();
}
