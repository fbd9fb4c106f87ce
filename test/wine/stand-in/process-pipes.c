#include "service-link.h"
#include <stdio.h>
#include <stdlib.h>
#include "process-pipes.h"

#define BUFFER_BYTES 65536

typedef struct {
  HANDLE pipe;
  SOCKET socket;
  standard_stream which;
  char buffer[BUFFER_BYTES];
} pump;

static BOOL send_all(SOCKET socket, const char *bytes, int count) {
  for (int done = 0, sent; done < count; done += sent) {
    sent = send(socket, bytes + done, count - done, 0);
    if (sent <= 0) return FALSE;
  }
  return TRUE;
}

/* From the caller to the service, until the caller closes its end or the process has gone. */
static void pump_input(pump *input) {
  DWORD count;
  while (ReadFile(input->pipe, input->buffer, BUFFER_BYTES, &count, NULL) && count > 0) {
    if (!send_all(input->socket, input->buffer, (int)count)) return;
  }
  shutdown(input->socket, SD_SEND);
  while (recv(input->socket, input->buffer, BUFFER_BYTES, 0) > 0) continue;
}

/* From the service to the caller, until the process has closed the stream. */
static void pump_output(pump *output) {
  int count;
  while ((count = recv(output->socket, output->buffer, BUFFER_BYTES, 0)) > 0) {
    DWORD written;
    for (int done = 0; done < count; done += (int)written) {
      if (!WriteFile(output->pipe, output->buffer + done, (DWORD)(count - done), &written, NULL)) return;
    }
  }
  FlushFileBuffers(output->pipe);
}

static DWORD WINAPI run_pump(LPVOID argument) {
  pump *running = argument;
  if (running->which == STANDARD_INPUT) pump_input(running);
  else pump_output(running);
  closesocket(running->socket);
  CloseHandle(running->pipe);
  free(running);
  return 0;
}

HANDLE open_process_pipe(LONG64 target, standard_stream which) {
  static LONG last;
  BOOL is_input = which == STANDARD_INPUT;
  WCHAR name[64];
  swprintf(name, sizeof name / sizeof *name, L"\\\\.\\pipe\\hcsshim-stand-in-%lu-%ld", GetCurrentProcessId(),
           InterlockedIncrement(&last));
  pump *running = malloc(sizeof *running);
  if (running == NULL) abort();
  running->which = which;
  running->socket = service_connect();
  running->pipe = CreateNamedPipeW(name, is_input ? PIPE_ACCESS_INBOUND : PIPE_ACCESS_OUTBOUND,
                                   PIPE_TYPE_BYTE | PIPE_WAIT, 1, BUFFER_BYTES, BUFFER_BYTES, 0, NULL);
  HANDLE end = CreateFileW(name, is_input ? GENERIC_WRITE : GENERIC_READ, 0, NULL, OPEN_EXISTING,
                           FILE_FLAG_OVERLAPPED, NULL);
  HANDLE thread = NULL;
  if (running->socket != INVALID_SOCKET && end != INVALID_HANDLE_VALUE) {
    char line[64];
    int length = snprintf(line, sizeof line, "{\"stream\":%d,\"target\":%lld}\n", which, target);
    send_all(running->socket, line, length);
    thread = CreateThread(NULL, 0, run_pump, running, 0, NULL);
  }
  if (thread != NULL) {
    CloseHandle(thread);
    return end;
  }
  if (end != INVALID_HANDLE_VALUE) CloseHandle(end);
  if (running->pipe != INVALID_HANDLE_VALUE) CloseHandle(running->pipe);
  if (running->socket != INVALID_SOCKET) closesocket(running->socket);
  free(running);
  return NULL;
}
