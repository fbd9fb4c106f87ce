/* The standard streams of a process, as pipes of Windows whose other ends the service has over TCP. */
#ifndef PROCESS_PIPES_H
#define PROCESS_PIPES_H

#include <windows.h>

typedef enum { STANDARD_INPUT = 0, STANDARD_OUTPUT = 1, STANDARD_ERROR = 2 } standard_stream;

/* The caller's end, opened for overlapped calls, or NULL. `target` is the service's number of the process. */
HANDLE open_process_pipe(LONG64 target, standard_stream which);

#endif
