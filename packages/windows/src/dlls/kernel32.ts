import type { Dll } from '../procedure.ts';

/**
 * Job objects, pseudo consoles, memory, and what else of the kernel Node does not reach.
 */
export const kernel32 = {
  file: 'kernel32.dll',
  build: 7600,
  source: "Microsoft's processthreadsapi.h, jobapi.h, jobapi2.h, consoleapi.h, winbase.h and their like",
  procedures: {
    // Memory and handles
    LocalAlloc: {
      returns: 'ADDRESS',
      parameters: { flags: 'DWORD', bytes: 'SIZE_T' },
      immediate: true,
      purpose: 'Allocate memory that a DLL will free',
    },
    LocalFree: {
      returns: 'ADDRESS',
      parameters: { memory: 'ADDRESS?' },
      immediate: true,
      purpose: 'Free what a DLL has allocated; gives 0, or on failure the address back',
    },
    CloseHandle: {
      returns: 'BOOL',
      parameters: { object: 'HANDLE' },
      immediate: true,
      purpose: 'Close a handle of the kernel',
    },
    CreateEventW: {
      returns: 'HANDLE',
      parameters: {
        attributes: 'memory SECURITY_ATTRIBUTES',
        manualReset: 'BOOL',
        initialState: 'BOOL',
        name: 'PCWSTR?',
      },
      immediate: true,
      purpose: 'Make an event, for Winsock or an overlapped call to signal',
    },
    RegisterWaitForSingleObject: {
      returns: 'BOOL',
      parameters: {
        wait: 'out HANDLE',
        object: 'HANDLE',
        callback: 'CALLBACK',
        context: 'CONTEXT?',
        milliseconds: 'DWORD',
        flags: 'DWORD',
      },
      immediate: true,
      purpose: 'Have the signals of an object told, by a thread of Windows',
    },
    UnregisterWaitEx: {
      returns: 'BOOL',
      parameters: { wait: 'HANDLE', completionEvent: 'HANDLE?' },
      purpose: 'End that; can wait until a callback under way has returned',
    },
    CreatePipe: {
      returns: 'BOOL',
      parameters: {
        readPipe: 'out HANDLE',
        writePipe: 'out HANDLE',
        attributes: 'memory SECURITY_ATTRIBUTES',
        size: 'DWORD',
      },
      immediate: true,
      purpose: 'Make a pipe, for the streams of a pseudo console',
    },
    CreateNamedPipeW: {
      returns: 'HANDLE',
      parameters: {
        name: 'PCWSTR',
        openMode: 'DWORD',
        pipeMode: 'DWORD',
        maxInstances: 'DWORD',
        outBufferSize: 'DWORD',
        inBufferSize: 'DWORD',
        defaultTimeout: 'DWORD',
        attributes: 'memory SECURITY_ATTRIBUTES',
      },
      immediate: true,
      purpose: 'Make an instance of a named pipe that only some may open',
    },
    ConnectNamedPipe: {
      returns: 'BOOL',
      parameters: { pipe: 'HANDLE', overlapped: 'memory OVERLAPPED' },
      immediate: true,
      purpose: 'Wait for a client of it, overlapped',
    },
    CancelIoEx: {
      returns: 'BOOL',
      parameters: { file: 'HANDLE', overlapped: 'memory OVERLAPPED' },
      immediate: true,
      purpose: 'Give an overlapped call up',
    },
    // Pseudo consoles
    CreatePseudoConsole: {
      returns: 'HRESULT',
      parameters: { size: 'DWORD', input: 'HANDLE', output: 'HANDLE', flags: 'DWORD', console: 'out HPCON' },
      build: 17763,
      immediate: true,
      purpose: 'Make a terminal for a process on the host',
    },
    ResizePseudoConsole: {
      returns: 'HRESULT',
      parameters: { console: 'HPCON', size: 'DWORD' },
      build: 17763,
      immediate: true,
      purpose: 'Resize it',
    },
    ClosePseudoConsole: {
      returns: 'void',
      parameters: { console: 'HPCON' },
      build: 17763,
      purpose: 'Close it; waits until its output is read',
    },
    // Job objects
    OpenJobObjectW: {
      returns: 'HANDLE',
      parameters: { desiredAccess: 'DWORD', inheritHandle: 'BOOL', name: 'PCWSTR' },
      immediate: true,
      purpose: "Open a container's job object",
    },
    IsProcessInJob: {
      returns: 'BOOL',
      parameters: { process: 'HANDLE', job: 'HANDLE?', result: 'out BOOL' },
      immediate: true,
      purpose: 'Whether a process belongs to a job',
    },
    QueryInformationJobObject: {
      returns: 'BOOL',
      parameters: {
        job: 'HANDLE?',
        informationClass: 'INT',
        information: 'memory void',
        length: 'DWORD',
        returnLength: 'out DWORD',
      },
      immediate: true,
      purpose: 'Limits and accounting of a job',
    },
    QueryIoRateControlInformationJobObject: {
      returns: 'BOOL',
      parameters: { job: 'HANDLE?', volumeName: 'PCWSTR?', information: 'out ADDRESS', count: 'out DWORD' },
      build: 14393,
      immediate: true,
      purpose: 'I/O limits of a job',
    },
    SetIoRateControlInformationJobObject: {
      returns: 'BOOL',
      parameters: { job: 'HANDLE', information: 'memory JOBOBJECT_IO_RATE_CONTROL_INFORMATION' },
      build: 14393,
      immediate: true,
      purpose: 'Limit the I/O of a job',
    },
    // Processes and processors
    CreateRemoteThread: {
      returns: 'HANDLE',
      parameters: {
        process: 'HANDLE',
        attributes: 'memory SECURITY_ATTRIBUTES',
        stackSize: 'SIZE_T',
        startAddress: 'ADDRESS',
        parameter: 'ADDRESS?',
        flags: 'DWORD',
        threadId: 'out DWORD',
      },
      immediate: true,
      purpose: 'Send Ctrl+C to a process of a job container',
    },
    GetActiveProcessorCount: {
      returns: 'DWORD',
      parameters: { groupNumber: 'USHORT' },
      immediate: true,
      purpose: 'Processors of the host',
    },
    // Files
    CopyFileW: {
      returns: 'BOOL',
      parameters: { existingFileName: 'PCWSTR', newFileName: 'PCWSTR', failIfExists: 'BOOL' },
      purpose: 'Copy a file as Windows does',
    },
    GetDiskFreeSpaceExW: {
      returns: 'BOOL',
      parameters: {
        directoryName: 'PCWSTR?',
        freeBytesAvailable: 'out UINT64',
        totalBytes: 'out UINT64',
        freeBytes: 'out UINT64',
      },
      purpose: 'Room on a volume',
    },
    SearchPathW: {
      returns: 'DWORD',
      parameters: {
        path: 'PCWSTR?',
        fileName: 'PCWSTR',
        extension: 'PCWSTR?',
        bufferLength: 'DWORD',
        buffer: 'memory WCHAR',
        filePart: 'memory PWSTR',
      },
      purpose: "Find a program as CreateProcess would; gives the text's length, 0 when there is none",
    },
  },
} as const satisfies Dll;
