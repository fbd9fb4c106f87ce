import type { Dll } from '../procedure.ts';

/**
 * Sockets of families that Node does not know. What they carry goes through libuv, see `socket-stream.ts`.
 */
export const winsock = {
  file: 'ws2_32.dll',
  build: 7600,
  source: "Microsoft's winsock2.h",
  procedures: {
    WSASocketW: {
      returns: 'SOCKET',
      parameters: {
        family: 'INT',
        type: 'INT',
        protocol: 'INT',
        protocolInformation: 'memory WSAPROTOCOL_INFOW',
        group: 'DWORD',
        flags: 'DWORD',
      },
      immediate: true,
      purpose: 'Make a socket',
    },
    closesocket: {
      returns: 'SOCKET_ERROR',
      parameters: { socket: 'SOCKET' },
      immediate: true,
      purpose: 'Close a socket',
    },
    setsockopt: {
      returns: 'SOCKET_ERROR',
      parameters: { socket: 'SOCKET', level: 'INT', option: 'INT', value: 'memory char', length: 'INT' },
      immediate: true,
      purpose: 'Set how long a connection to a guest may take',
    },
    bind: {
      returns: 'SOCKET_ERROR',
      parameters: { socket: 'SOCKET', address: 'memory sockaddr', length: 'INT' },
      immediate: true,
      purpose: 'Take an address',
    },
    listen: {
      returns: 'SOCKET_ERROR',
      parameters: { socket: 'SOCKET', backlog: 'INT' },
      immediate: true,
      purpose: 'Let others connect to it',
    },
    accept: {
      returns: 'SOCKET',
      parameters: { socket: 'SOCKET', address: 'memory sockaddr', length: 'memory int' },
      immediate: true,
      purpose: 'Take the next connection, of a socket that does not block',
    },
    connect: {
      returns: 'SOCKET_ERROR',
      parameters: { socket: 'SOCKET', address: 'memory sockaddr', length: 'INT' },
      immediate: true,
      purpose: 'Begin to connect a socket that does not block',
    },
    WSAEventSelect: {
      returns: 'SOCKET_ERROR',
      parameters: { socket: 'SOCKET', event: 'HANDLE?', networkEvents: 'DWORD' },
      immediate: true,
      purpose: 'Have an event signalled for what happens to a socket, which does not block from then on',
    },
    WSAEnumNetworkEvents: {
      returns: 'SOCKET_ERROR',
      parameters: { socket: 'SOCKET', event: 'HANDLE?', networkEvents: 'memory WSANETWORKEVENTS' },
      immediate: true,
      purpose: 'What has happened to a socket, and with which errors',
    },
  },
} as const satisfies Dll;
