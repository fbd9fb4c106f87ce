/* One flat JSON object a line: what the stand-in DLLs and the service behind them say to each other. */
#ifndef JSON_LINE_H
#define JSON_LINE_H

#include <windows.h>

/* Text that grows. `text` is NUL-terminated. */
typedef struct {
  char *text;
  size_t length, capacity;
} json_writer;

void json_append(json_writer *writer, const char *text);
void json_append_number(json_writer *writer, LONG64 number);
/* With quotes, in ASCII alone: any UTF-16 survives, also halves of surrogate pairs. `null` for NULL. */
void json_append_string(json_writer *writer, const WCHAR *text);

/* The number that `line` has for `key`, or `otherwise`. */
LONG64 json_number(const char *line, const char *key, LONG64 otherwise);
/* The string that `line` has for `key`, to be freed by the caller, or NULL. */
WCHAR *json_string(const char *line, const char *key);

#endif
