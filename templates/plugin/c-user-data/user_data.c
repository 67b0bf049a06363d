// {{name}}: a cloud-config that installs packages and writes a file with the droplet's identity.
//
// The file is `/etc/droplet.json`; it contains the droplet's name, its index and the parameters from the policy.
//
// The bindings free returned values, so these must come from malloc.

#include <stdlib.h>
#include <string.h>

#include "bindings/user_data_generator.h"
#include "json.h"

typedef user_data_generator_string_t string;

static const char SCHEMA[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"packages\":{"
    "\"description\":\"Packages to install.\",\"type\":\"array\","
    "\"items\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9][a-z0-9+.-]*$\"},\"maxItems\":100,\"default\":[]}}}";

static string to_string(text from) { return (string){(uint8_t *)from.ptr, from.len}; }

void exports_doproxy_plugin_user_data_describe(exports_doproxy_plugin_user_data_manifest_t *ret) {
  memset(ret, 0, sizeof *ret);
  user_data_generator_string_dup(&ret->name, "{{name}}");
  user_data_generator_string_dup(&ret->version, "0.1.0");
  user_data_generator_string_dup(&ret->description,
                                 "A cloud-config that installs packages and writes the droplet's identity.");
  user_data_generator_string_dup(&ret->config_schema, SCHEMA);
}

static json packages_of(string *config) {
  return json_member(json_document(config->ptr, config->len), "packages");
}

// Checks what the schema cannot express: each package is listed once.
bool exports_doproxy_plugin_user_data_validate(string *config, exports_doproxy_plugin_user_data_list_problem_t *err) {
  json packages = packages_of(config);
  for (size_t place = 0; json_item(packages, place).ptr != NULL; place++) {
    text package = json_text(json_item(packages, place), "");
    for (size_t before = 0; before < place; before++) {
      text other = json_text(json_item(packages, before), "");
      if (strcmp(package.ptr, other.ptr) != 0) continue;
      text path = {0};
      text_add(&path, "/packages/");
      text_add_int(&path, (int64_t)place);
      text_add(&package, " is listed twice");
      err->len = 1;
      err->ptr = calloc(1, sizeof *err->ptr);
      if (err->ptr == NULL) abort();
      err->ptr->path = to_string(path);
      err->ptr->message = to_string(package);
      return false;
    }
  }
  return true;
}

bool exports_doproxy_plugin_user_data_generate(string *config, exports_doproxy_plugin_user_data_request_t *request,
                                               string *ret, exports_doproxy_plugin_user_data_error_t *err) {
  (void)err; // never fails
  json packages = packages_of(config);
  text hostname = {0}, about = {0}, out = {0};
  text_add_quoted(&hostname, (const char *)request->hostname.ptr, request->hostname.len);

  text_add(&about, "{\"hostname\":");
  text_add_n(&about, hostname.ptr, hostname.len);
  text_add(&about, ",\"index\":");
  text_add_int(&about, request->index);
  text_add(&about, ",\"params\":");
  if (request->params.len > 0) text_add_n(&about, (const char *)request->params.ptr, request->params.len);
  else text_add(&about, "null");
  text_add(&about, "}");

  text_add(&out, "#cloud-config\nhostname: ");
  text_add_n(&out, hostname.ptr, hostname.len);
  text_add(&out, "\n");
  for (size_t place = 0; json_item(packages, place).ptr != NULL; place++) {
    text package = json_text(json_item(packages, place), "");
    text_add(&out, place == 0 ? "packages:\n  - " : "  - ");
    text_add_quoted(&out, package.ptr, package.len);
    text_add(&out, "\n");
  }
  text_add(&out, "write_files:\n  - path: /etc/droplet.json\n    content: ");
  text_add_quoted(&out, about.ptr, about.len);
  text_add(&out, "\n");
  *ret = to_string(out);
  return true;
}
