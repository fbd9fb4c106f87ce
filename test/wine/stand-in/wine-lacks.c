/*
 * Procedures that Windows has in kernel32.dll and iphlpapi.dll, and Wine 8 has not. Wine's own two cannot be replaced: so a
 * test binds these by this DLL's name. Prototypes and structure are those of Microsoft's jobapi2.h, and of netioapi.h
 * and hcsshim's internal/winapi. Jobs are Wine's.
 */
#include <windows.h>

#include <stdlib.h>
#include "ledger.h"

#define EXPORT __declspec(dllexport)
#define COUNTED() ledger_count_call(__func__)

/* Not the name that newer headers have, so that this compiles with them too. */
typedef struct {
  LONG64 MaxIops, MaxBandwidth, ReservationIops;
  PCWSTR VolumeName;
  ULONG BaseIoSize, ControlFlags;
} io_rate_control;

_Static_assert(sizeof(io_rate_control) == 40, "JOBOBJECT_IO_RATE_CONTROL_INFORMATION");

#define KNOWN_CONTROL_FLAGS 0xf

/* What was set for a job; a handle stands for its job, since Wine tells nothing else that would. */
typedef struct job_state {
  struct job_state *next;
  HANDLE job;
  BOOL has_io_rate;
  io_rate_control io_rate;
  WCHAR volume[MAX_PATH];
  ULONG compartment;
} job_state;

static SRWLOCK lock = SRWLOCK_INIT;
static job_state *jobs;
static DWORD thread_compartment;

static BOOL is_job(HANDLE handle) {
  JOBOBJECT_BASIC_ACCOUNTING_INFORMATION information;
  return QueryInformationJobObject(handle, JobObjectBasicAccountingInformation, &information, sizeof information, NULL);
}

/* With the lock held. */
static job_state *state_of(HANDLE job) {
  for (job_state *one = jobs; one != NULL; one = one->next) {
    if (one->job == job) return one;
  }
  job_state *one = calloc(1, sizeof *one);
  if (one == NULL) abort();
  one->job = job;
  one->compartment = 1;
  one->next = jobs;
  jobs = one;
  return one;
}

static DWORD fail(DWORD error) {
  SetLastError(error);
  return 0;
}

EXPORT DWORD WINAPI SetIoRateControlInformationJobObject(HANDLE job, io_rate_control *information) {
  COUNTED();
  if (!is_job(job)) return fail(ERROR_INVALID_HANDLE);
  if (information == NULL || (information->ControlFlags & ~(ULONG)KNOWN_CONTROL_FLAGS) != 0) return fail(ERROR_INVALID_PARAMETER);
  if (information->MaxIops < 0 || information->MaxBandwidth < 0 || information->ReservationIops < 0)
    return fail(ERROR_INVALID_PARAMETER);
  if (information->VolumeName != NULL && wcslen(information->VolumeName) >= MAX_PATH) return fail(ERROR_INVALID_PARAMETER);
  AcquireSRWLockExclusive(&lock);
  job_state *state = state_of(job);
  state->has_io_rate = (information->ControlFlags & 1) != 0;
  state->io_rate = *information;
  wcscpy(state->volume, information->VolumeName != NULL ? information->VolumeName : L"");
  ReleaseSRWLockExclusive(&lock);
  return 1;
}

/* The block and the name that it points to are one piece of memory. */
EXPORT DWORD WINAPI QueryIoRateControlInformationJobObject(HANDLE job, PCWSTR volume, io_rate_control **blocks, ULONG *count) {
  COUNTED();
  if (blocks == NULL || count == NULL) return fail(ERROR_INVALID_PARAMETER);
  /* NULL is the job of the calling process, which has no limits here. */
  if (job != NULL && !is_job(job)) return fail(ERROR_INVALID_HANDLE);
  *blocks = NULL;
  *count = 0;
  AcquireSRWLockExclusive(&lock);
  job_state *state = job == NULL ? NULL : state_of(job);
  if (state != NULL && state->has_io_rate && (volume == NULL || _wcsicmp(volume, state->volume) == 0)) {
    size_t name_bytes = (wcslen(state->volume) + 1) * sizeof(WCHAR);
    io_rate_control *block = LocalAlloc(LMEM_FIXED, sizeof *block + name_bytes);
    if (block == NULL) abort();
    *block = state->io_rate;
    block->VolumeName = memcpy(block + 1, state->volume, name_bytes);
    *blocks = block;
    *count = 1;
    ledger_handle_opened();
  }
  ReleaseSRWLockExclusive(&lock);
  return 1;
}

EXPORT void WINAPI FreeMemoryJobObject(void *buffer) {
  COUNTED();
  if (buffer == NULL) return;
  LocalFree(buffer);
  ledger_handle_closed();
}

EXPORT DWORD WINAPI SetJobCompartmentId(HANDLE job, ULONG compartment) {
  COUNTED();
  if (!is_job(job)) return ERROR_INVALID_HANDLE;
  if (compartment == 0) return ERROR_INVALID_PARAMETER;
  AcquireSRWLockExclusive(&lock);
  state_of(job)->compartment = compartment;
  ReleaseSRWLockExclusive(&lock);
  return NO_ERROR;
}

/* 0 takes the thread back to the compartment of its process. */
EXPORT DWORD WINAPI SetCurrentThreadCompartmentId(ULONG compartment) {
  COUNTED();
  TlsSetValue(thread_compartment, (void *)(ULONG_PTR)compartment);
  return NO_ERROR;
}

/* Which no caller of this project needs; as Windows has it, for tests. */
EXPORT ULONG WINAPI GetCurrentThreadCompartmentId(void) {
  ULONG compartment = (ULONG)(ULONG_PTR)TlsGetValue(thread_compartment);
  return compartment == 0 ? 1 : compartment;
}

/* For tests. */
EXPORT ULONG StandInCompartmentOfJob(HANDLE job) {
  AcquireSRWLockExclusive(&lock);
  ULONG compartment = state_of(job)->compartment;
  ReleaseSRWLockExclusive(&lock);
  return compartment;
}

BOOL WINAPI DllMain(HINSTANCE dll, DWORD reason, LPVOID reserved) {
  (void)dll, (void)reserved;
  if (reason == DLL_PROCESS_ATTACH) thread_compartment = TlsAlloc();
  return thread_compartment != TLS_OUT_OF_INDEXES;
}
