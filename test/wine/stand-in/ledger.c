#include "ledger.h"
#include <stdlib.h>
#include <string.h>

#define MAX_PROCEDURES 256

static SRWLOCK lock = SRWLOCK_INIT;
static struct {
  const char *name;
  LONG calls;
} procedures[MAX_PROCEDURES];
static LONG open_handles;

/*
 * Nobody tells a DLL that its string was freed. So each string carries a cookie behind its NUL, and is taken
 * for freed when the heap does not know the block any more, or knows it as one of another size or content. The heap
 * is asked only when what it keeps before the block is as it was: that of Wine 8 follows whatever is there.
 */
typedef struct given_string {
  struct given_string *next;
  char *block;
  SIZE_T text_bytes;
  UINT64 header, cookie;
} given_string;

static given_string *given;
static UINT64 last_cookie = 0x5354414e44494e00;

void ledger_count_call(const char *procedure) {
  AcquireSRWLockExclusive(&lock);
  for (int i = 0; i < MAX_PROCEDURES; i++) {
    if (procedures[i].name == NULL) procedures[i].name = procedure;
    if (strcmp(procedures[i].name, procedure) != 0) continue;
    procedures[i].calls++;
    break;
  }
  ReleaseSRWLockExclusive(&lock);
}

LONG StandInCountCalls(const char *procedure) {
  LONG calls = 0;
  AcquireSRWLockShared(&lock);
  for (int i = 0; i < MAX_PROCEDURES && procedures[i].name != NULL; i++) {
    if (strcmp(procedures[i].name, procedure) == 0) calls = procedures[i].calls;
  }
  ReleaseSRWLockShared(&lock);
  return calls;
}

void ledger_handle_opened(void) { InterlockedIncrement(&open_handles); }

void ledger_handle_closed(void) { InterlockedDecrement(&open_handles); }

LONG StandInCountOpenHandles(void) { return InterlockedOr(&open_handles, 0); }

PWSTR ledger_give_string(const WCHAR *text, ledger_allocator allocator) {
  if (text == NULL) return NULL;
  SIZE_T text_bytes = (wcslen(text) + 1) * sizeof *text;
  SIZE_T bytes = text_bytes + sizeof(UINT64);
  /* Both kinds of memory are blocks of the process heap (LMEM_FIXED; the COM task allocator on it). */
  char *block = allocator == FREED_WITH_LOCAL_FREE ? LocalAlloc(LMEM_FIXED, bytes)
                                                   : HeapAlloc(GetProcessHeap(), 0, bytes);
  given_string *entry = malloc(sizeof *entry);
  if (block == NULL || entry == NULL) abort();
  AcquireSRWLockExclusive(&lock);
  /* The heap has handed out this block before: what was there has been freed. */
  for (given_string **link = &given; *link != NULL;) {
    given_string *old = *link;
    if (old->block == block) {
      *link = old->next;
      free(old);
    } else {
      link = &old->next;
    }
  }
  memcpy(block, text, text_bytes);
  last_cookie++;
  memcpy(block + text_bytes, &last_cookie, sizeof last_cookie);
  *entry = (given_string){.next = given, .block = block, .text_bytes = text_bytes, .cookie = last_cookie};
  memcpy(&entry->header, block - sizeof entry->header, sizeof entry->header);
  given = entry;
  ReleaseSRWLockExclusive(&lock);
  return (PWSTR)block;
}

/* Also where the memory is gone. */
static BOOL has(const char *address, UINT64 value) {
  UINT64 found;
  SIZE_T count;
  return ReadProcessMemory(GetCurrentProcess(), address, &found, sizeof found, &count) && count == sizeof found &&
         found == value;
}

static BOOL is_still_there(const given_string *entry) {
  HANDLE heap = GetProcessHeap();
  return has(entry->block - sizeof entry->header, entry->header) &&
         has(entry->block + entry->text_bytes, entry->cookie) && HeapValidate(heap, 0, entry->block) &&
         HeapSize(heap, 0, entry->block) == entry->text_bytes + sizeof entry->cookie;
}

LONG StandInCountUnfreedStrings(void) {
  LONG count = 0;
  AcquireSRWLockExclusive(&lock);
  for (given_string **link = &given; *link != NULL;) {
    given_string *entry = *link;
    if (is_still_there(entry)) {
      count++;
      link = &entry->next;
    } else {
      *link = entry->next;
      free(entry);
    }
  }
  ReleaseSRWLockExclusive(&lock);
  return count;
}
