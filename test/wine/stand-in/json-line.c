#include "json-line.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append_bytes(json_writer *writer, const char *bytes, size_t count) {
  if (writer->length + count + 1 > writer->capacity) {
    writer->capacity = (writer->length + count + 1) * 2;
    writer->text = realloc(writer->text, writer->capacity);
    if (writer->text == NULL) abort();
  }
  memcpy(writer->text + writer->length, bytes, count);
  writer->length += count;
  writer->text[writer->length] = '\0';
}

void json_append(json_writer *writer, const char *text) { append_bytes(writer, text, strlen(text)); }

void json_append_number(json_writer *writer, LONG64 number) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", number);
  json_append(writer, digits);
}

void json_append_string(json_writer *writer, const WCHAR *text) {
  if (text == NULL) {
    json_append(writer, "null");
    return;
  }
  json_append(writer, "\"");
  for (; *text != 0; text++) {
    if (*text >= ' ' && *text < 0x7f && *text != '"' && *text != '\\') {
      char plain = (char)*text;
      append_bytes(writer, &plain, 1);
    } else {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", *text);
      json_append(writer, escape);
    }
  }
  json_append(writer, "\"");
}

/* The character after the string that begins at `text`. */
static const char *skip_string(const char *text) {
  for (text++; *text != '"' && *text != '\0'; text++) {
    if (*text == '\\' && text[1] != '\0') text++;
  }
  return *text == '"' ? text + 1 : text;
}

/* Where the value of `key` begins, or NULL. */
static const char *find_value(const char *line, const char *key) {
  size_t key_length = strlen(key);
  const char *at = strchr(line, '{');
  if (at == NULL) return NULL;
  for (at++; *at == '"';) {
    const char *name = at + 1;
    const char *value = skip_string(at);
    if (*value != ':') return NULL;
    value++;
    if (strncmp(name, key, key_length) == 0 && name[key_length] == '"') return value;
    at = *value == '"' ? skip_string(value) : value + strcspn(value, ",}");
    if (*at == ',') at++;
  }
  return NULL;
}

LONG64 json_number(const char *line, const char *key, LONG64 otherwise) {
  const char *value = find_value(line, key);
  if (value == NULL || (*value != '-' && (*value < '0' || *value > '9'))) return otherwise;
  return strtoll(value, NULL, 10);
}

static WCHAR unescape(const char **text) {
  char letter = **text;
  (*text)++;
  switch (letter) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'u': {
      char digits[5] = {0};
      strncpy(digits, *text, 4);
      *text += strlen(digits);
      return (WCHAR)strtoul(digits, NULL, 16);
    }
    default: return (WCHAR)(unsigned char)letter;
  }
}

WCHAR *json_string(const char *line, const char *key) {
  const char *at = find_value(line, key);
  if (at == NULL || *at != '"') return NULL;
  const char *end = skip_string(at);
  WCHAR *text = calloc((size_t)(end - at) + 1, sizeof *text);
  if (text == NULL) abort();
  size_t length = 0;
  for (at++; *at != '"' && *at != '\0';) {
    if (*at == '\\') {
      at++;
      text[length++] = unescape(&at);
    } else {
      text[length++] = (WCHAR)(unsigned char)*at++;
    }
  }
  return text;
}
