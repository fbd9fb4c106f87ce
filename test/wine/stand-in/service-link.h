/* The connection to the service that does the work: the test's process on Linux, over loopback TCP. */
#ifndef SERVICE_LINK_H
#define SERVICE_LINK_H

#include <winsock2.h>

#include <windows.h>

/* Called on the link's own thread for each line, and with NULL when the service has gone. Must not wait for a line. */
typedef void (*service_line_handler)(const char *line);

/*
 * Sends a line. Connects first when there is no connection yet, to the port in the environment variable
 * HCSSHIM_STAND_IN_PORT. FALSE when there is no service.
 */
BOOL service_send(const char *line, service_line_handler handler);

/*
 * A connection of its own, for the bytes of a stream, or INVALID_SOCKET. Only after a line has been sent.
 */
SOCKET service_connect(void);

#endif
