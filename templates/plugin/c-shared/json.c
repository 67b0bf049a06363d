#include "json.h"

#include <stdlib.h>
#include <string.h>

void text_add_n(text *to, const char *add, size_t len) {
  char *grown = realloc(to->ptr, to->len + len + 1);
  if (grown == NULL) abort();
  if (len > 0) memcpy(grown + to->len, add, len);
  to->ptr = grown;
  to->len += len;
  to->ptr[to->len] = 0;
}

void text_add(text *to, const char *add) { text_add_n(to, add, strlen(add)); }

void text_add_int(text *to, int64_t number) {
  char digits[24];
  char *at = digits + sizeof digits;
  uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  *--at = 0;
  do {
    *--at = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  if (number < 0) *--at = '-';
  text_add(to, at);
}

void text_add_quoted(text *to, const char *add, size_t len) {
  static const char digits[] = "0123456789abcdef";
  static const char named[] = "\bb\ff\nn\rr\tt\"\"\\\\";
  text_add(to, "\"");
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)add[i];
    const char *name = NULL;
    for (const char *pair = named; *pair != 0; pair += 2)
      if ((unsigned char)pair[0] == c) name = pair + 1;
    if (name != NULL) {
      char escaped[] = {'\\', *name};
      text_add_n(to, escaped, 2);
    } else if (c < 0x20) {
      char escaped[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
      text_add_n(to, escaped, 6);
    } else {
      text_add_n(to, add + i, 1);
    }
  }
  text_add(to, "\"");
}

static const char *skip_blank(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
  return at;
}

// Returns the end of the value that starts at `at`.
static const char *skip_value(const char *at, const char *end) {
  int depth = 0;
  bool quoted = false;
  for (; at < end; at++) {
    if (quoted) {
      if (*at == '\\') at++;
      else if (*at == '"') quoted = false;
    } else if (*at == '"') {
      quoted = true;
    } else if (*at == '{' || *at == '[') {
      depth++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0) return at;
      depth--;
    } else if (*at == ',' && depth == 0) {
      return at;
    }
  }
  return end;
}

json json_document(const uint8_t *ptr, size_t len) {
  const char *end = (const char *)ptr + len;
  return (json){skip_blank((const char *)ptr, end), end};
}

json json_item(json array, size_t index) {
  const json nothing = {NULL, NULL};
  if (array.ptr == NULL || array.ptr >= array.end || *array.ptr != '[') return nothing;
  const char *at = skip_blank(array.ptr + 1, array.end);
  while (at < array.end && *at != ']') {
    const char *end = skip_value(at, array.end);
    if (index-- == 0) return (json){at, end};
    if (end >= array.end || *end != ',') break;
    at = skip_blank(end + 1, array.end);
  }
  return nothing;
}

json json_member(json object, const char *name) {
  const json nothing = {NULL, NULL};
  if (object.ptr == NULL || object.ptr >= object.end || *object.ptr != '{') return nothing;
  size_t length = strlen(name);
  const char *at = skip_blank(object.ptr + 1, object.end);
  while (at < object.end && *at == '"') {
    const char *key = at + 1;
    const char *quote = key;
    while (quote < object.end && *quote != '"') quote += *quote == '\\' ? 2 : 1;
    const char *colon = skip_blank(quote + 1, object.end);
    if (colon >= object.end || *colon != ':') break;
    const char *value = skip_blank(colon + 1, object.end);
    const char *end = skip_value(value, object.end);
    if ((size_t)(quote - key) == length && memcmp(key, name, length) == 0) return (json){value, end};
    if (end >= object.end || *end != ',') break;
    at = skip_blank(end + 1, object.end);
  }
  return nothing;
}

double json_number(json value, double fallback) {
  if (value.ptr == NULL) return fallback;
  text copy = {0};
  text_add_n(&copy, value.ptr, (size_t)(value.end - value.ptr));
  double number = strtod(copy.ptr, NULL);
  free(copy.ptr);
  return number;
}

static uint32_t hex4(const char *at) {
  char digits[5] = {at[0], at[1], at[2], at[3], 0};
  return (uint32_t)strtoul(digits, NULL, 16);
}

static void add_character(text *to, uint32_t c) {
  char bytes[4];
  size_t len = 0;
  if (c < 0x80) {
    bytes[len++] = (char)c;
  } else if (c < 0x800) {
    bytes[len++] = (char)(0xc0 | c >> 6);
    bytes[len++] = (char)(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    bytes[len++] = (char)(0xe0 | c >> 12);
    bytes[len++] = (char)(0x80 | (c >> 6 & 0x3f));
    bytes[len++] = (char)(0x80 | (c & 0x3f));
  } else {
    bytes[len++] = (char)(0xf0 | c >> 18);
    bytes[len++] = (char)(0x80 | (c >> 12 & 0x3f));
    bytes[len++] = (char)(0x80 | (c >> 6 & 0x3f));
    bytes[len++] = (char)(0x80 | (c & 0x3f));
  }
  text_add_n(to, bytes, len);
}

text json_text(json value, const char *fallback) {
  text found = {0};
  text_add(&found, "");
  if (value.ptr == NULL || value.ptr >= value.end || *value.ptr != '"') {
    text_add(&found, fallback);
    return found;
  }
  for (const char *at = value.ptr + 1; at < value.end && *at != '"'; at++) {
    if (*at != '\\') {
      text_add_n(&found, at, 1);
      continue;
    }
    static const char named[] = "b\bf\fn\nr\rt\t";
    at++;
    if (at < value.end && *at == 'u' && value.end - at > 4) {
      uint32_t c = hex4(at + 1);
      at += 4;
      if (c >= 0xd800 && c < 0xdc00 && value.end - at > 6 && at[1] == '\\' && at[2] == 'u') {
        c = 0x10000 + ((c - 0xd800) << 10) + ((hex4(at + 3) - 0xdc00) & 0x3ff);
        at += 6;
      }
      add_character(&found, c);
    } else if (at < value.end) {
      char c = *at;
      for (const char *pair = named; *pair != 0; pair += 2)
        if (pair[0] == *at) c = pair[1];
      text_add_n(&found, &c, 1);
    }
  }
  return found;
}
