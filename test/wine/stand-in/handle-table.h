/* Handles of a stand-in that are numbers, each of one kind, never used twice. */
#ifndef HANDLE_TABLE_H
#define HANDLE_TABLE_H

#include <windows.h>

/* A new handle for `object`, counted in the ledger. */
HANDLE give_handle(void *object, int kind);

/* The object of a handle, or NULL where it is closed, of another kind, or never was one. */
void *object_of(HANDLE handle, int kind);

/* Forgets the handle and gives its object, or NULL. */
void *take_handle(HANDLE handle, int kind);

#endif
