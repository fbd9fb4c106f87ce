#include "json-document.h"
#include <string.h>

/* All of these give where the text goes on, or NULL where it is no JSON. */
static const WCHAR *skip_value(const WCHAR *at, int depth);

static const WCHAR *skip_space(const WCHAR *at) { return at + wcsspn(at, L" \t\r\n"); }

static const WCHAR *skip_string(const WCHAR *at) {
  for (at++; *at != '"'; at++) {
    if (*at < ' ') return NULL;
    if (*at == '\\' && *++at == 0) return NULL;
  }
  return at + 1;
}

/* Of an object when `close` is a brace, of a list otherwise. */
static const WCHAR *skip_members(const WCHAR *at, WCHAR close, int depth) {
  at = skip_space(at + 1);
  if (*at == close) return at + 1;
  for (;;) {
    if (close == '}') {
      if (*at != '"' || (at = skip_string(at)) == NULL) return NULL;
      at = skip_space(at);
      if (*at++ != ':') return NULL;
    }
    if ((at = skip_value(at, depth + 1)) == NULL) return NULL;
    at = skip_space(at);
    if (*at == close) return at + 1;
    if (*at++ != ',') return NULL;
    at = skip_space(at);
  }
}

static const WCHAR *skip_value(const WCHAR *at, int depth) {
  static const WCHAR *const words[] = {L"true", L"false", L"null"};
  at = skip_space(at);
  if (depth > 32) return NULL;
  if (*at == '{') return skip_members(at, '}', depth);
  if (*at == '[') return skip_members(at, ']', depth);
  if (*at == '"') return skip_string(at);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t length = wcslen(words[i]);
    if (wcsncmp(at, words[i], length) == 0) return at + length;
  }
  size_t digits = wcsspn(at, L"+-.0123456789eE");
  return digits > 0 ? at + digits : NULL;
}

BOOL json_is_object(const WCHAR *text) {
  text = skip_space(text);
  if (*text != '{') return FALSE;
  const WCHAR *end = skip_value(text, 0);
  return end != NULL && *skip_space(end) == 0;
}

const WCHAR *json_member(const WCHAR *object, const WCHAR *name) {
  const WCHAR *at = skip_space(object);
  if (*at != '{') return NULL;
  size_t length = wcslen(name);
  for (at = skip_space(at + 1); *at == '"'; at = skip_space(at + 1)) {
    BOOL is_it = wcsncmp(at + 1, name, length) == 0 && at[1 + length] == '"';
    at = skip_space(skip_string(at)) + 1;
    if (is_it) return skip_space(at);
    at = skip_space(skip_value(at, 0));
    if (*at != ',') return NULL;
  }
  return NULL;
}

BOOL json_is_string(const WCHAR *value, const WCHAR *string) {
  size_t length = wcslen(string);
  return value != NULL && *value == '"' && wcsncmp(value + 1, string, length) == 0 && value[1 + length] == '"';
}

int json_count_objects(const WCHAR *list) {
  if (list == NULL || *list != '[') return -1;
  int count = 0;
  for (const WCHAR *at = skip_space(list + 1); *at != ']'; count++) {
    if (*at != '{') return -1;
    at = skip_space(skip_value(at, 0));
    if (*at == ',') at = skip_space(at + 1);
  }
  return count;
}

const WCHAR *json_object_at(const WCHAR *list, int index) {
  const WCHAR *at = skip_space(list + 1);
  for (; index > 0; index--) at = skip_space(skip_space(skip_value(at, 0)) + 1);
  return at;
}
