#include "handle-table.h"
#include <stdlib.h>
#include "ledger.h"

typedef struct entry {
  struct entry *next;
  HANDLE handle;
  int kind;
  void *object;
} entry;

static SRWLOCK lock = SRWLOCK_INIT;
static entry *entries;
/* Far from addresses and from handles of the kernel, so that nothing else passes for one. */
static ULONG_PTR last_handle = 0x5100000000;

HANDLE give_handle(void *object, int kind) {
  entry *one = malloc(sizeof *one);
  if (one == NULL) abort();
  AcquireSRWLockExclusive(&lock);
  last_handle += 4;
  *one = (entry){entries, (HANDLE)last_handle, kind, object};
  entries = one;
  HANDLE handle = one->handle;
  ReleaseSRWLockExclusive(&lock);
  ledger_handle_opened();
  return handle;
}

static entry **find_entry(HANDLE handle, int kind) {
  entry **link = &entries;
  while (*link != NULL && ((*link)->handle != handle || (*link)->kind != kind)) link = &(*link)->next;
  return link;
}

void *object_of(HANDLE handle, int kind) {
  AcquireSRWLockShared(&lock);
  entry *one = *find_entry(handle, kind);
  void *object = one == NULL ? NULL : one->object;
  ReleaseSRWLockShared(&lock);
  return object;
}

void *take_handle(HANDLE handle, int kind) {
  AcquireSRWLockExclusive(&lock);
  entry **link = find_entry(handle, kind);
  entry *one = *link;
  if (one != NULL) *link = one->next;
  ReleaseSRWLockExclusive(&lock);
  if (one == NULL) return NULL;
  void *object = one->object;
  free(one);
  ledger_handle_closed();
  return object;
}
