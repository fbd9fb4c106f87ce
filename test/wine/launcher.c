/*
 * launcher.exe PROGRAM ARGUMENTS…: runs a Windows program whose standard streams are pipes of Windows.
 *
 * Under Wine a stream that is a pipe of Linux is no stream to libuv, and Node ends with "EBADF". This copies
 * between the two. The program is in a job: it and all that it starts die with the launcher. Linux sees the
 * lowest 8 bits of the exit code.
 */
#define _WIN32_WINNT 0x0A00
#include <windows.h>

#include <wchar.h>

typedef struct {
  HANDLE from, to;
  /* Tells the program that its input has ended. */
  BOOL close_at_end;
} stream;

static DWORD WINAPI copy(LPVOID argument) {
  stream *copied = argument;
  static const DWORD size = 65536;
  char *buffer = HeapAlloc(GetProcessHeap(), 0, size);
  DWORD count = 0;
  while (buffer != NULL && ReadFile(copied->from, buffer, size, &count, NULL) && count > 0) {
    for (DWORD done = 0, written = 0; done < count; done += written) {
      if (!WriteFile(copied->to, buffer + done, count - done, &written, NULL)) return 1;
    }
  }
  if (copied->close_at_end) CloseHandle(copied->to);
  HeapFree(GetProcessHeap(), 0, buffer);
  return 0;
}

/* A pipe of which the program inherits one end: the reading one for its input, else the writing one. */
static void make_pipe(HANDLE *reading, HANDLE *writing, BOOL is_input) {
  SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
  CreatePipe(reading, writing, &inherited, 65536);
  SetHandleInformation(is_input ? *writing : *reading, HANDLE_FLAG_INHERIT, 0);
}

/* The command line behind the launcher's own name, unchanged, so that no quoting is lost. */
static WCHAR *rest_of_command_line(void) {
  WCHAR *rest = GetCommandLineW();
  if (*rest == L'"') {
    rest = wcschr(rest + 1, L'"');
    if (rest != NULL) rest++;
  } else {
    rest = wcschr(rest, L' ');
  }
  while (rest != NULL && *rest == L' ') rest++;
  return rest;
}

int wmain(void) {
  WCHAR *command_line = rest_of_command_line();
  if (command_line == NULL || *command_line == 0) return 2;
  HANDLE input_read, input_write, output_read, output_write, error_read, error_write;
  make_pipe(&input_read, &input_write, TRUE);
  make_pipe(&output_read, &output_write, FALSE);
  make_pipe(&error_read, &error_write, FALSE);

  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
  HANDLE job = CreateJobObjectW(NULL, NULL);
  SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);

  STARTUPINFOW startup = {0};
  startup.cb = sizeof startup;
  startup.dwFlags = STARTF_USESTDHANDLES;
  startup.hStdInput = input_read;
  startup.hStdOutput = output_write;
  startup.hStdError = error_write;
  PROCESS_INFORMATION process;
  if (!CreateProcessW(NULL, command_line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL, NULL, &startup, &process)) return 127;
  AssignProcessToJobObject(job, process.hProcess);
  ResumeThread(process.hThread);
  CloseHandle(input_read);
  CloseHandle(output_write);
  CloseHandle(error_write);

  stream input = {GetStdHandle(STD_INPUT_HANDLE), input_write, TRUE};
  stream output = {output_read, GetStdHandle(STD_OUTPUT_HANDLE), FALSE};
  stream error = {error_read, GetStdHandle(STD_ERROR_HANDLE), FALSE};
  CreateThread(NULL, 0, copy, &input, 0, NULL);
  HANDLE outputs[] = {CreateThread(NULL, 0, copy, &output, 0, NULL), CreateThread(NULL, 0, copy, &error, 0, NULL)};
  WaitForSingleObject(process.hProcess, INFINITE);
  /* What the program has written is still on its way; a grandchild may hold the pipes open for ever. */
  WaitForMultipleObjects(2, outputs, TRUE, 5000);
  DWORD exit_code = 1;
  GetExitCodeProcess(process.hProcess, &exit_code);
  /* Not exit(): the thread that reads the input may block in it. */
  TerminateProcess(GetCurrentProcess(), exit_code);
  return 1;
}
