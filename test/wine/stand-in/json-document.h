/* Looks into a JSON document, as a DLL that is handed one must before it uses it. */
#ifndef JSON_DOCUMENT_H
#define JSON_DOCUMENT_H

#include <windows.h>

/* Whether `text` is one JSON object, and nothing behind it. */
BOOL json_is_object(const WCHAR *text);

/* The value of a member of the object, where it begins, or NULL. */
const WCHAR *json_member(const WCHAR *object, const WCHAR *name);

/* Whether the value is this string. */
BOOL json_is_string(const WCHAR *value, const WCHAR *string);

/* Objects in the list, or -1 where it is no list of objects. */
int json_count_objects(const WCHAR *list);

/* The object of the list at this index. */
const WCHAR *json_object_at(const WCHAR *list, int index);

#endif
