/* A stand-in for bindfltapi.dll, with the one prototype that hcsshim's internal/winapi gives in a comment. */
#include <windows.h>

#include <stdlib.h>
#include "ledger.h"

#define EXPORT __declspec(dllexport)

enum { READ_ONLY_MAPPING = 1, MERGED_BIND_MAPPING = 2, USE_CURRENT_SILO_MAPPING = 4 };

typedef struct mapping {
  struct mapping *next;
  PWSTR root, target;
  ULONG exceptions;
} mapping;

static SRWLOCK lock = SRWLOCK_INIT;
static mapping *mappings;

static BOOL is_there(PCWSTR path) { return path != NULL && GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES; }

/* A job answers what any job answers. */
static BOOL is_job(HANDLE handle) {
  JOBOBJECT_BASIC_ACCOUNTING_INFORMATION information;
  return QueryInformationJobObject(handle, JobObjectBasicAccountingInformation, &information, sizeof information, NULL);
}

EXPORT HRESULT WINAPI BfSetupFilter(HANDLE JobHandle, ULONG Flags, LPCWSTR VirtualizationRootPath, LPCWSTR VirtualizationTargetPath,
                                    LPCWSTR *VirtualizationExceptionPaths, ULONG VirtualizationExceptionPathCount) {
  ledger_count_call(__func__);
  if (VirtualizationRootPath == NULL || VirtualizationTargetPath == NULL) return E_INVALIDARG;
  if ((Flags & ~(ULONG)(READ_ONLY_MAPPING | MERGED_BIND_MAPPING | USE_CURRENT_SILO_MAPPING)) != 0) return E_INVALIDARG;
  if ((VirtualizationExceptionPaths == NULL) != (VirtualizationExceptionPathCount == 0)) return E_INVALIDARG;
  if (JobHandle != NULL && !is_job(JobHandle)) return HRESULT_FROM_WIN32(ERROR_INVALID_HANDLE);
  if (!is_there(VirtualizationRootPath) || !is_there(VirtualizationTargetPath)) return HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND);
  for (ULONG i = 0; i < VirtualizationExceptionPathCount; i++) {
    if (!is_there(VirtualizationExceptionPaths[i])) return HRESULT_FROM_WIN32(ERROR_PATH_NOT_FOUND);
  }
  mapping *one = calloc(1, sizeof *one);
  if (one == NULL || (one->root = _wcsdup(VirtualizationRootPath)) == NULL ||
      (one->target = _wcsdup(VirtualizationTargetPath)) == NULL)
    abort();
  one->exceptions = VirtualizationExceptionPathCount;
  AcquireSRWLockExclusive(&lock);
  one->next = mappings;
  mappings = one;
  ReleaseSRWLockExclusive(&lock);
  return S_OK;
}

/* For tests: the exceptions of the latest mapping of `root` to `target`, or -1 where there is none. */
EXPORT LONG StandInCountExceptions(PCWSTR root, PCWSTR target) {
  LONG exceptions = -1;
  AcquireSRWLockShared(&lock);
  for (mapping *one = mappings; one != NULL && exceptions < 0; one = one->next) {
    if (_wcsicmp(one->root, root) == 0 && _wcsicmp(one->target, target) == 0) exceptions = (LONG)one->exceptions;
  }
  ReleaseSRWLockShared(&lock);
  return exceptions;
}
