/* What a stand-in DLL keeps count of, so that a test can see what its caller has leaked. */
#ifndef LEDGER_H
#define LEDGER_H

#include <windows.h>

/* Counts a call; `procedure` must be a constant: __func__. */
void ledger_count_call(const char *procedure);

typedef enum { FREED_WITH_LOCAL_FREE, FREED_WITH_CO_TASK_MEM_FREE } ledger_allocator;

/* A copy of `text` that the caller has to free; NULL for NULL. */
PWSTR ledger_give_string(const WCHAR *text, ledger_allocator allocator);

void ledger_handle_opened(void);
void ledger_handle_closed(void);

/* For tests. */
__declspec(dllexport) LONG StandInCountCalls(const char *procedure);
__declspec(dllexport) LONG StandInCountOpenHandles(void);
/* Strings given and not freed yet. */
__declspec(dllexport) LONG StandInCountUnfreedStrings(void);

#endif
