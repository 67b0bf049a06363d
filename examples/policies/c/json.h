// Just enough of JSON for a plugin's configuration, and text that grows.
//
// The host has checked the configuration already: it is JSON, and fits the schema.
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Text that grows. Begin with `text t = {0}`; it always ends in a NUL, which its length does not count.
typedef struct {
  char *ptr;
  size_t len;
} text;

void text_add(text *to, const char *add);
void text_add_n(text *to, const char *add, size_t len);
void text_add_int(text *to, int64_t number);
// Adds `add` as JSON writes it, in quotes.
void text_add_quoted(text *to, const char *add, size_t len);

// A value where it stands in its document; `ptr` is NULL for one that is not there.
typedef struct {
  const char *ptr;
  const char *end;
} json;

json json_document(const uint8_t *ptr, size_t len);
json json_member(json object, const char *name);
json json_item(json array, size_t index);
double json_number(json value, double otherwise);
// The text of a string, without its quotes; `otherwise` where there is none.
text json_text(json value, const char *otherwise);

#endif
