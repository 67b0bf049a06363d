// per-droplet: keeps the share of each droplet in one metric at a target.
//
// The fleet grows at once, and shrinks by one droplet after fewer would have sufficed for `patience` consecutive ticks.
//
// The bindings free returned values, so these must come from malloc.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/scaling_policy.h"
#include "json.h"

typedef scaling_policy_string_t string;
typedef exports_doproxy_plugin_policy_decision_t decision;
typedef exports_doproxy_plugin_policy_observation_t observation;

static const char SCHEMA[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"target_per_droplet\"],\"properties\":{"
    "\"metric\":{"
    "\"description\":\"The series to follow, a total over the fleet. Series with the same name are added up.\","
    "\"type\":\"string\",\"minLength\":1,\"default\":\"haproxy.sessions\"},"
    "\"target_per_droplet\":{\"description\":\"The share of one droplet, in the unit of the series.\","
    "\"type\":\"number\",\"exclusiveMinimum\":0},"
    "\"patience\":{\"description\":\"Consecutive ticks for which fewer droplets must suffice before the fleet shrinks.\","
    "\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":3}}}";

static string to_string(text from) { return (string){(uint8_t *)from.ptr, from.len}; }

void exports_doproxy_plugin_policy_describe(exports_doproxy_plugin_policy_manifest_t *ret) {
  memset(ret, 0, sizeof *ret);
  scaling_policy_string_dup(&ret->name, "per-droplet");
  scaling_policy_string_dup(&ret->version, "0.1.0");
  scaling_policy_string_dup(&ret->description,
                            "Keeps one metric at its share per droplet; grows at once and shrinks patiently.");
  scaling_policy_string_dup(&ret->config_schema, SCHEMA);
}

// Checks what the schema cannot express: these metrics are averages, which cannot be added up.
bool exports_doproxy_plugin_policy_validate(string *config, exports_doproxy_plugin_policy_list_problem_t *err) {
  text metric = json_text(json_member(json_document(config->ptr, config->len), "metric"), "");
  if (strcmp(metric.ptr, "haproxy.utilization") != 0 && strcmp(metric.ptr, "haproxy.response_time_ms") != 0) return true;
  text_add(&metric, " is an average over the droplets; name a total");
  err->len = 1;
  err->ptr = calloc(1, sizeof *err->ptr);
  if (err->ptr == NULL) abort();
  scaling_policy_string_dup(&err->ptr->path, "/metric");
  err->ptr->message = to_string(metric);
  return false;
}

static void write_state(decision *ret, uint32_t calm) {
  text state = {0};
  text_add(&state, "1:");
  text_add_int(&state, calm);
  ret->state.ptr = (uint8_t *)state.ptr;
  ret->state.len = state.len;
}

// Reads the state: `1:` and the number of ticks for which fewer droplets sufficed; any other state counts as 0.
static uint32_t calm_ticks(const scaling_policy_list_u8_t *state) {
  if (state->len < 3 || state->len > 6 || memcmp(state->ptr, "1:", 2) != 0) return 0;
  uint32_t calm = 0;
  for (size_t i = 2; i < state->len; i++) {
    if (state->ptr[i] < '0' || state->ptr[i] > '9') return 0;
    calm = calm * 10 + (state->ptr[i] - '0');
  }
  return calm;
}

static bool hold(decision *ret, text reason, const scaling_policy_list_u8_t *state) {
  ret->reason = to_string(reason);
  if (state->len > 0) {
    ret->state.ptr = malloc(state->len);
    if (ret->state.ptr == NULL) abort();
    memcpy(ret->state.ptr, state->ptr, state->len);
    ret->state.len = state->len;
  }
  return true;
}

static void scale_to(decision *ret, uint32_t count) {
  ret->outcome.tag = EXPORTS_DOPROXY_PLUGIN_POLICY_OUTCOME_SCALE_TO;
  ret->outcome.val.scale_to.count = count;
}

// Rounds up, within the limits; the small difference compensates for division errors.
static uint32_t round_up(double share, uint32_t least, uint32_t most) {
  return (uint32_t)ceil(fmin(fmax(share - 1e-9, least), most));
}

// Rounds for display; extreme values are clamped.
static int64_t rounded(double value) { return (int64_t)floor(fmin(fmax(value, -1e15), 1e15) + 0.5); }

bool exports_doproxy_plugin_policy_decide(string *config, observation *observed, scaling_policy_list_u8_t *state,
                                          decision *ret, exports_doproxy_plugin_policy_error_t *err) {
  (void)err; // never fails
  memset(ret, 0, sizeof *ret);
  json settings = json_document(config->ptr, config->len);
  text metric = json_text(json_member(settings, "metric"), "haproxy.sessions");
  double target = json_number(json_member(settings, "target_per_droplet"), 1);
  uint32_t patience = (uint32_t)json_number(json_member(settings, "patience"), 3);

  double total = 0;
  bool found = false, stale = false;
  for (size_t i = 0; i < observed->metrics.len; i++) {
    const doproxy_plugin_types_series_t *series = &observed->metrics.ptr[i];
    if (series->name.len != metric.len || memcmp(series->name.ptr, metric.ptr, metric.len) != 0) continue;
    stale = stale || series->stale;
    if (series->samples.len == 0) continue;
    total += series->samples.ptr[series->samples.len - 1].value;
    found = true;
  }
  text reason = {0};
  text_add(&reason, metric.ptr);
  if (stale) {
    text_add(&reason, " is stale, so the fleet is held");
    return hold(ret, reason, state);
  }
  if (!found || isnan(total)) {
    text_add(&reason, " is missing, so the fleet is held");
    return hold(ret, reason, state);
  }

  uint32_t size = 0;
  for (size_t i = 0; i < observed->fleet.len; i++)
    if (observed->fleet.ptr[i].phase <= DOPROXY_PLUGIN_TYPES_PHASE_SERVING) size++;
  uint32_t least = observed->limits.min, most = observed->limits.max < least ? least : observed->limits.max;
  uint32_t needed = round_up(total / target, least, most);
  if (isfinite(total)) {
    ret->signals.len = 1;
    ret->signals.ptr = calloc(1, sizeof *ret->signals.ptr);
    if (ret->signals.ptr == NULL) abort();
    exports_doproxy_plugin_policy_signal_t *signal = ret->signals.ptr;
    scaling_policy_string_dup_n(&signal->name, metric.ptr, metric.len);
    signal->value = total;
    signal->target = (scaling_policy_option_f64_t){true, target * size};
    signal->wants = (scaling_policy_option_u32_t){true, needed};
  }
  text_add(&reason, " is ");
  text_add_int(&reason, rounded(total));
  text_add(&reason, " over a fleet of ");
  text_add_int(&reason, size);
  text_add(&reason, ": a fleet of ");
  text_add_int(&reason, needed);
  text_add(&reason, " suffices");

  uint32_t calm = needed < size ? calm_ticks(state) + 1 : 0;
  if (needed > size) {
    scale_to(ret, needed);
    calm = 0;
  } else if (needed < size && calm < patience) {
    text_add(&reason, ", for ");
    text_add_int(&reason, calm);
    text_add(&reason, " of ");
    text_add_int(&reason, patience);
    text_add(&reason, " ticks");
  } else if (needed < size) {
    scale_to(ret, size - 1 < most ? size - 1 : most);
    calm = 0;
  }
  write_state(ret, calm);
  ret->reason = to_string(reason);
  return true;
}
