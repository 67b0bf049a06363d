// A JSON reader for a plugin's configuration, and a growing text.
//
// The host has validated the configuration: it is JSON that matches the schema.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A growing text. Start with `text t = {0}`. It always ends in a NUL, which `len` does not include.
typedef struct {
  char *ptr;
  size_t len;
} text;

void text_add(text *to, const char *add);
void text_add_n(text *to, const char *add, size_t len);
void text_add_int(text *to, int64_t number);
// Adds `add` as a JSON string, in quotes.
void text_add_quoted(text *to, const char *add, size_t len);

// A value within its document; `ptr` is NULL if it does not exist.
typedef struct {
  const char *ptr;
  const char *end;
} json;

json json_document(const uint8_t *ptr, size_t len);
json json_member(json object, const char *name);
json json_item(json array, size_t index);
double json_number(json value, double fallback);
// Returns the text of a string without its quotes, or `fallback` if it does not exist.
text json_text(json value, const char *fallback);

#endif
