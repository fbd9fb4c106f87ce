#include "service-link.h"
#include <stdlib.h>
#include <string.h>

static CRITICAL_SECTION lock;
static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
static SOCKET connection = INVALID_SOCKET;
static service_line_handler on_line;

static DWORD WINAPI read_lines(LPVOID argument) {
  (void)argument;
  size_t capacity = 65536, length = 0;
  char *buffer = malloc(capacity);
  if (buffer == NULL) abort();
  for (;;) {
    if (length == capacity) {
      capacity *= 2;
      buffer = realloc(buffer, capacity);
      if (buffer == NULL) abort();
    }
    int received = recv(connection, buffer + length, (int)(capacity - length), 0);
    if (received <= 0) break;
    length += (size_t)received;
    char *line = buffer;
    for (char *end; (end = memchr(line, '\n', length - (size_t)(line - buffer))) != NULL; line = end + 1) {
      *end = '\0';
      on_line(line);
    }
    length -= (size_t)(line - buffer);
    memmove(buffer, line, length);
  }
  free(buffer);
  on_line(NULL);
  return 0;
}

static BOOL CALLBACK prepare(PINIT_ONCE init, PVOID parameter, PVOID *context) {
  (void)init, (void)parameter, (void)context;
  WSADATA data;
  InitializeCriticalSection(&lock);
  return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}

SOCKET service_connect(void) {
  char port[16];
  if (GetEnvironmentVariableA("HCSSHIM_STAND_IN_PORT", port, sizeof port) == 0) return INVALID_SOCKET;
  struct sockaddr_in address = {0};
  address.sin_family = AF_INET;
  address.sin_port = htons((u_short)atoi(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SOCKET made = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  if (made == INVALID_SOCKET) return INVALID_SOCKET;
  BOOL no_delay = TRUE;
  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, (const char *)&no_delay, sizeof no_delay);
  if (connect(made, (struct sockaddr *)&address, sizeof address) == 0) return made;
  closesocket(made);
  return INVALID_SOCKET;
}

/* Threads of this DLL need its code until the process ends, and koffi unloads it before: it stays. */
static void stay_loaded(void) {
  HMODULE module;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                     (LPCWSTR)(ULONG_PTR)stay_loaded, &module);
}

static BOOL open_link(void) {
  stay_loaded();
  connection = service_connect();
  if (connection == INVALID_SOCKET) return FALSE;
  HANDLE thread = CreateThread(NULL, 0, read_lines, NULL, 0, NULL);
  if (thread == NULL) return FALSE;
  CloseHandle(thread);
  return TRUE;
}

BOOL service_send(const char *line, service_line_handler handler) {
  if (!InitOnceExecuteOnce(&once, prepare, NULL, NULL)) return FALSE;
  EnterCriticalSection(&lock);
  on_line = handler;
  BOOL sent = connection != INVALID_SOCKET || open_link();
  for (size_t length = strlen(line), done = 0; sent && done < length;) {
    int count = send(connection, line + done, (int)(length - done), 0);
    if (count <= 0) sent = FALSE;
    else done += (size_t)count;
  }
  LeaveCriticalSection(&lock);
  return sent;
}
