/*
 * Stands in for ws2_32.dll, which has no AF_HYPERV under Wine. A socket of that family is one of loopback TCP here,
 * so that whatever else is called with it (libuv does) works as with any socket; calls with sockets of other
 * families pass through. Prototypes are those of winsock2.h, the rest is hvsocket.h's.
 *
 * The service behind it, at the TCP port in the environment variable HCSSHIM_STAND_IN_HVSOCKET_PORT, takes a connection for
 * each socket, and on it one line:
 *
 *     {"connect":"<VmId>","port":5000}           the bytes of the hvsocket follow the answer
 *     {"listen":"<VmId>","port":5000,"to":4711}  it connects to TCP port 4711 for each connection of the guest, until
 *                                                either side closes this one
 *
 * The answer is a line too, {"error":0}, or with the code of Winsock that the call fails with.
 */
#include <winsock2.h>

#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "json-line.h"
#include "ledger.h"

#define AF_HYPERV 34
#define HV_PROTOCOL_RAW 1
#define HVSOCKET_CONNECT_TIMEOUT 1
#define HVSOCKET_CONNECT_TIMEOUT_MAX 300000
#define MAX_SOCKETS 1024

typedef struct {
  USHORT Family;
  USHORT Reserved;
  GUID VmId;
  GUID ServiceId;
} SOCKADDR_HV;

/* 00000000-facb-11e6-bd58-64006a7986d3; the port takes the place of Data1. */
static const GUID vsock_template = {0, 0xfacb, 0x11e6, {0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3}};

typedef enum { FRESH, BOUND, LISTENING, CONNECTING, CONNECTED, FAILED } socket_state;

typedef struct {
  SOCKET socket;
  socket_state state;
  SOCKADDR_HV address;
  /* What WSAEventSelect gave. While it connects, Winsock itself does not know of it. */
  HANDLE event;
  long selected;
  /* How the connection went. */
  BOOL has_connected;
  int connect_error;
  /* A listener's line to the service. */
  SOCKET link;
  BOOL is_unserved;
  /* Both ends of a connection: who holds them still has this socket open, and not another of the same number. */
  struct sockaddr_in local, peer;
  LONG references;
} hv_socket_entry;

static SRWLOCK lock = SRWLOCK_INIT;
static hv_socket_entry *entries[MAX_SOCKETS];

static int fail(int error) {
  WSASetLastError(error);
  return SOCKET_ERROR;
}

/* With the lock held. */
static hv_socket_entry **slot_of(SOCKET socket) {
  for (int i = 0; i < MAX_SOCKETS; i++) {
    if (entries[i] != NULL && entries[i]->socket == socket) return &entries[i];
  }
  return NULL;
}

static hv_socket_entry *entry_of(SOCKET socket) {
  AcquireSRWLockShared(&lock);
  hv_socket_entry **slot = slot_of(socket);
  hv_socket_entry *entry = slot == NULL ? NULL : *slot;
  ReleaseSRWLockShared(&lock);
  return entry;
}

static void release(hv_socket_entry *entry) {
  if (InterlockedDecrement(&entry->references) == 0) free(entry);
}

/* With the lock held. */
static void forget(hv_socket_entry **slot) {
  hv_socket_entry *entry = *slot;
  *slot = NULL;
  ledger_handle_closed();
  if (entry->link != INVALID_SOCKET) shutdown(entry->link, SD_BOTH);
  release(entry);
}

static hv_socket_entry *keep(SOCKET socket, socket_state state) {
  hv_socket_entry *entry = calloc(1, sizeof *entry);
  if (entry == NULL) abort();
  entry->socket = socket;
  entry->state = state;
  entry->link = INVALID_SOCKET;
  entry->references = 1;
  AcquireSRWLockExclusive(&lock);
  /* Somebody else has closed one of this number. */
  hv_socket_entry **slot = slot_of(socket);
  if (slot != NULL) forget(slot);
  for (int i = 0; i < MAX_SOCKETS && entry != NULL; i++) {
    if (entries[i] != NULL) continue;
    entries[i] = entry;
    ledger_handle_opened();
    ReleaseSRWLockExclusive(&lock);
    return entry;
  }
  abort();
}

static void remember_ends(hv_socket_entry *entry) {
  int length = sizeof entry->local;
  getsockname(entry->socket, (struct sockaddr *)&entry->local, &length);
  length = sizeof entry->peer;
  getpeername(entry->socket, (struct sockaddr *)&entry->peer, &length);
}

/* Whether nobody has closed it; connections are closed by libuv, which this DLL does not see. */
static BOOL is_open(const hv_socket_entry *entry) {
  if (entry->state != CONNECTED) return TRUE;
  struct sockaddr_in now = {0};
  int length = sizeof now;
  if (getsockname(entry->socket, (struct sockaddr *)&now, &length) != 0 || now.sin_port != entry->local.sin_port)
    return FALSE;
  length = sizeof now;
  return getpeername(entry->socket, (struct sockaddr *)&now, &length) != 0 || now.sin_port == entry->peer.sin_port;
}

/* For tests: hvsockets that are open. */
__declspec(dllexport) LONG StandInCountOpenSockets(void) {
  AcquireSRWLockExclusive(&lock);
  for (int i = 0; i < MAX_SOCKETS; i++) {
    if (entries[i] != NULL && !is_open(entries[i])) forget(&entries[i]);
  }
  ReleaseSRWLockExclusive(&lock);
  return StandInCountOpenHandles();
}

static void loopback(struct sockaddr_in *address, u_short port) {
  memset(address, 0, sizeof *address);
  address->sin_family = AF_INET;
  address->sin_port = htons(port);
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* Connects `made` to the service, sends it `line`, and gives the code of its answer. Blocks. */
static int ask_service(SOCKET made, const char *line) {
  char port[16], answer[256];
  struct sockaddr_in address;
  if (GetEnvironmentVariableA("HCSSHIM_STAND_IN_HVSOCKET_PORT", port, sizeof port) == 0) return WSAENETDOWN;
  loopback(&address, (u_short)atoi(port));
  if (connect(made, (struct sockaddr *)&address, sizeof address) != 0) return WSAENETDOWN;
  if (send(made, line, (int)strlen(line), 0) != (int)strlen(line)) return WSAENETDOWN;
  /* A byte at a time: what follows the line is not ours. */
  for (size_t length = 0; length < sizeof answer - 1; length++) {
    if (recv(made, answer + length, 1, 0) != 1) return WSAENETDOWN;
    if (answer[length] != '\n') continue;
    answer[length] = '\0';
    return (int)json_number(answer, "error", WSAENETDOWN);
  }
  return WSAENETDOWN;
}

static void format_request(char *line, size_t size, const char *verb, const SOCKADDR_HV *address, u_short to) {
  const GUID *id = &address->VmId;
  const UCHAR *tail = id->Data4;
  snprintf(line, size,
           "{\"%s\":\"%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x\",\"port\":%lu,\"to\":%u}\n", verb, id->Data1,
           id->Data2, id->Data3, tail[0], tail[1], tail[2], tail[3], tail[4], tail[5], tail[6], tail[7],
           address->ServiceId.Data1, to);
}

/* The error that Winsock has for an address, or 0. Services that are no vsock ports are not there. */
static int check_address(const struct sockaddr *name, int length) {
  const SOCKADDR_HV *address = (const SOCKADDR_HV *)name;
  if (name == NULL || length < (int)sizeof *address) return WSAEFAULT;
  if (address->Family != AF_HYPERV) return WSAEAFNOSUPPORT;
  if (address->Reserved != 0) return WSAEINVAL;
  return memcmp(&address->ServiceId.Data2, &vsock_template.Data2, 12) == 0 ? 0 : WSAEADDRNOTAVAIL;
}

/*
 * The server of Wine 8 crashes when a socket is closed while an overlapped call of its completes: it signals the socket's handle, which
 * is gone. Nobody waits for the handle, so it need not be signalled.
 */
static SOCKET without_signal(SOCKET made) {
  if (made != INVALID_SOCKET) SetFileCompletionNotificationModes((HANDLE)made, FILE_SKIP_SET_EVENT_ON_HANDLE);
  return made;
}

SOCKET WSAAPI hv_socket(int family, int type, int protocol, WSAPROTOCOL_INFOW *information, GROUP group,
                        DWORD flags) {
  ledger_count_call("WSASocketW");
  if (family != AF_HYPERV) return WSASocketW(family, type, protocol, information, group, flags);
  if (type != SOCK_STREAM || protocol != HV_PROTOCOL_RAW) {
    WSASetLastError(type != SOCK_STREAM ? WSAESOCKTNOSUPPORT : WSAEPROTONOSUPPORT);
    return INVALID_SOCKET;
  }
  SOCKET made = without_signal(WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, group, flags));
  if (made != INVALID_SOCKET) keep(made, FRESH);
  return made;
}

int WSAAPI hv_closesocket(SOCKET socket) {
  ledger_count_call("closesocket");
  AcquireSRWLockExclusive(&lock);
  hv_socket_entry **slot = slot_of(socket);
  /* Wakes connect_now; in Wine a close alone does not. */
  if (slot != NULL && (*slot)->state == CONNECTING) shutdown(socket, SD_BOTH);
  if (slot != NULL) forget(slot);
  ReleaseSRWLockExclusive(&lock);
  return closesocket(socket);
}

int WSAAPI hv_setsockopt(SOCKET socket, int level, int option, const char *value, int length) {
  ledger_count_call("setsockopt");
  if (entry_of(socket) == NULL || level == SOL_SOCKET) return setsockopt(socket, level, option, value, length);
  if (level != HV_PROTOCOL_RAW || option != HVSOCKET_CONNECT_TIMEOUT) return fail(WSAENOPROTOOPT);
  if (value == NULL || length != sizeof(ULONG)) return fail(WSAEFAULT);
  return *(const ULONG *)value <= HVSOCKET_CONNECT_TIMEOUT_MAX ? 0 : fail(WSAEINVAL);
}

/* With the lock held. Once it is closed, its number and its event's may be somebody else's. */
static void signal(const hv_socket_entry *entry) {
  hv_socket_entry **slot = slot_of(entry->socket);
  if (slot != NULL && *slot == entry && entry->event != NULL) SetEvent(entry->event);
}

/* The thread needs the code of this DLL, whose caller may unload it: it stays. */
static void start_thread(LPTHREAD_START_ROUTINE run, void *argument) {
  HMODULE module;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN, (LPCWSTR)(ULONG_PTR)run,
                     &module);
  HANDLE thread = CreateThread(NULL, 0, run, argument, 0, NULL);
  if (thread == NULL) abort();
  CloseHandle(thread);
}

/* Waits for the service to close a listener's line: then there will be no further connection. */
static DWORD WINAPI watch_listener(LPVOID argument) {
  hv_socket_entry *entry = argument;
  char byte;
  while (recv(entry->link, &byte, 1, 0) > 0) continue;
  closesocket(entry->link);
  AcquireSRWLockExclusive(&lock);
  entry->link = INVALID_SOCKET;
  entry->is_unserved = TRUE;
  signal(entry);
  ReleaseSRWLockExclusive(&lock);
  release(entry);
  return 0;
}

int WSAAPI hv_bind(SOCKET socket, const struct sockaddr *name, int length) {
  ledger_count_call("bind");
  hv_socket_entry *entry = entry_of(socket);
  if (entry == NULL) return bind(socket, name, length);
  int error = check_address(name, length);
  if (error == 0 && entry->state != FRESH) error = WSAEINVAL;
  if (error != 0) return fail(error);
  struct sockaddr_in local;
  int local_length = sizeof local;
  loopback(&local, 0);
  if (bind(socket, (struct sockaddr *)&local, sizeof local) != 0) return SOCKET_ERROR;
  getsockname(socket, (struct sockaddr *)&local, &local_length);
  memcpy(&entry->address, name, sizeof entry->address);
  char line[160];
  format_request(line, sizeof line, "listen", &entry->address, ntohs(local.sin_port));
  SOCKET link = WSASocketW(AF_INET, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_NO_HANDLE_INHERIT);
  error = ask_service(link, line);
  if (error == 0) {
    entry->link = link;
    entry->state = BOUND;
    InterlockedIncrement(&entry->references);
    start_thread(watch_listener, entry);
    return 0;
  }
  closesocket(link);
  return fail(error);
}

int WSAAPI hv_listen(SOCKET socket, int backlog) {
  ledger_count_call("listen");
  hv_socket_entry *entry = entry_of(socket);
  if (entry == NULL) return listen(socket, backlog);
  if (entry->state != BOUND) return fail(WSAEINVAL);
  entry->state = LISTENING;
  return listen(socket, backlog);
}

SOCKET WSAAPI hv_accept(SOCKET socket, struct sockaddr *name, int *length) {
  ledger_count_call("accept");
  hv_socket_entry *entry = entry_of(socket);
  if (entry == NULL) return accept(socket, name, length);
  if (entry->state != LISTENING || name != NULL) {
    fail(name != NULL ? WSAEFAULT : WSAEINVAL);
    return INVALID_SOCKET;
  }
  SOCKET made = without_signal(accept(socket, NULL, NULL));
  if (made == INVALID_SOCKET) {
    if (entry->is_unserved) fail(WSAENETDOWN);
    return INVALID_SOCKET;
  }
  remember_ends(keep(made, CONNECTED));
  return made;
}

static int connect_now(hv_socket_entry *entry) {
  char line[160];
  format_request(line, sizeof line, "connect", &entry->address, 0);
  int error = ask_service(entry->socket, line);
  AcquireSRWLockExclusive(&lock);
  entry->has_connected = TRUE;
  entry->connect_error = error;
  entry->state = error == 0 ? CONNECTED : FAILED;
  if (error == 0) remember_ends(entry);
  signal(entry);
  ReleaseSRWLockExclusive(&lock);
  return error;
}

static DWORD WINAPI connect_later(LPVOID argument) {
  connect_now(argument);
  release(argument);
  return 0;
}

int WSAAPI hv_connect(SOCKET socket, const struct sockaddr *name, int length) {
  ledger_count_call("connect");
  hv_socket_entry *entry = entry_of(socket);
  if (entry == NULL) return connect(socket, name, length);
  int error = check_address(name, length);
  if (error == 0 && entry->state != FRESH) {
    error = entry->state == CONNECTING ? WSAEALREADY : entry->state == CONNECTED ? WSAEISCONN : WSAEINVAL;
  }
  if (error != 0) return fail(error);
  memcpy(&entry->address, name, sizeof entry->address);
  entry->state = CONNECTING;
  InterlockedIncrement(&entry->references);
  if (entry->selected == 0) {
    error = connect_now(entry);
    release(entry);
    return error == 0 ? 0 : fail(error);
  }
  start_thread(connect_later, entry);
  return fail(WSAEWOULDBLOCK);
}

int WSAAPI hv_event_select(SOCKET socket, WSAEVENT event, long network_events) {
  ledger_count_call("WSAEventSelect");
  hv_socket_entry *entry = entry_of(socket);
  if (entry != NULL) {
    AcquireSRWLockExclusive(&lock);
    entry->event = network_events == 0 ? NULL : event;
    entry->selected = network_events;
    if (entry->is_unserved && entry->event != NULL) SetEvent(entry->event);
    /* Winsock would make it a socket that does not block, which connect_now needs. */
    BOOL is_ours = entry->state == CONNECTING || (entry->state == FRESH && (network_events & FD_CONNECT));
    ReleaseSRWLockExclusive(&lock);
    if (is_ours) return 0;
  }
  return WSAEventSelect(socket, event, network_events);
}

int WSAAPI hv_enum_network_events(SOCKET socket, WSAEVENT event, WSANETWORKEVENTS *events) {
  ledger_count_call("WSAEnumNetworkEvents");
  hv_socket_entry *entry = entry_of(socket);
  if (entry == NULL || !(entry->selected & FD_CONNECT)) return WSAEnumNetworkEvents(socket, event, events);
  AcquireSRWLockExclusive(&lock);
  memset(events, 0, sizeof *events);
  if (entry->has_connected) {
    events->lNetworkEvents = FD_CONNECT;
    events->iErrorCode[FD_CONNECT_BIT] = entry->connect_error;
  }
  entry->has_connected = FALSE;
  ReleaseSRWLockExclusive(&lock);
  if (event != NULL) ResetEvent(event);
  return 0;
}
