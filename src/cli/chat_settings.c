#include "chat_settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const cli_option *chat_settings_find(const char *name, size_t bytes) {
  for (const cli_option *option = sampling_options; option->name; option++)
    if (strlen(option->name) == bytes && !memcmp(option->name, name, bytes)) return option;
  return NULL;
}

static const option_value *value_of(const chat_state *chat, const cli_option *option) {
  return (const option_value *)(const void *)((const char *)&chat->values + option->place);
}

bool chat_settings_given(const chat_state *chat, const cli_option *option) {
  return value_of(chat, option)->given;
}

static bool read_value(chat_state *chat, const cli_option *option, const char *text, char *expected,
                       size_t expected_bytes) {
  option_value value;
  if (!options_read_value(option, text, &value, expected, expected_bytes)) return false;
  value.text = NULL; /* it does not live as long */
  *(option_value *)(void *)((char *)&chat->values + option->place) = value;
  chat->sampling = model_options_sampling(chat->model, &chat->values);
  return true;
}

bool chat_settings_read(chat_state *chat, const cli_option *option, const char *text) {
  char expected[160];
  return read_value(chat, option, text, expected, sizeof expected);
}

/* What is in force where nothing was given: the checkpoint's defaults. */
static double default_of(const chat_state *chat, const cli_option *option) {
  const gust_sampling *s = &chat->sampling;
  switch (option->place) {
    case offsetof(sampling_values, temperature): return (double)s->temperature;
    case offsetof(sampling_values, top_k): return s->top_k;
    case offsetof(sampling_values, top_p): return (double)s->top_p;
    case offsetof(sampling_values, min_p): return (double)s->min_p;
    case offsetof(sampling_values, repeat_penalty): return (double)s->repeat_penalty;
    default: return 0;
  }
}

char *chat_settings_text(const chat_state *chat, const cli_option *option,
                         char text[CHAT_SETTING_BYTES]) {
  const option_value *value = value_of(chat, option);
  if (option->place == offsetof(sampling_values, seed)) {
    snprintf(text, CHAT_SETTING_BYTES, "%" PRIu64, chat->sampling.seed);
  } else if (option->kind == OPTION_COUNT) {
    snprintf(text, CHAT_SETTING_BYTES, "%" PRIu64,
             value->given ? value->count : (uint64_t)default_of(chat, option));
  } else if (!value->given) {
    snprintf(text, CHAT_SETTING_BYTES, "%g", default_of(chat, option));
  } else {
    /* As short as it was typed, where that says the same. */
    snprintf(text, CHAT_SETTING_BYTES, "%g", value->real);
    option_value again;
    char expected[160];
    if (!options_read_value(option, text, &again, expected, sizeof expected) ||
        again.real < value->real || again.real > value->real)
      snprintf(text, CHAT_SETTING_BYTES, "%.17g", value->real);
  }
  return text;
}

gust_status chat_settings_set(chat_state *chat, const char *argument, gust_error *err) {
  char names[160] = "", expected[160], found[64];
  size_t bytes = strcspn(argument, " \t");
  const cli_option *option = chat_settings_find(argument, bytes);
  if (!option) {
    for (const cli_option *each = sampling_options; each->name; each++)
      snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "",
               each->name);
    snprintf(found, sizeof found, "%.*s", (int)(bytes < 60 ? bytes : 60), argument);
    return command_error(err, GUST_E_ARGUMENT, "/set: expected one of %s, found '%s'", names,
                         found);
  }
  const char *text = argument + bytes + strspn(argument + bytes, " \t");
  if (!read_value(chat, option, text, expected, sizeof expected))
    return command_error(err, GUST_E_ARGUMENT, "/set %s: expected %s, found '%.60s'", option->name,
                         expected, text);
  return GUST_OK;
}

void chat_settings_print(const chat_state *chat) {
  char text[CHAT_SETTING_BYTES];
  for (const cli_option *option = sampling_options; option->name; option++)
    printf("  %-15s %s%s\n", option->name, chat_settings_text(chat, option, text),
           chat_settings_given(chat, option) ? "" : "  (the model's)");
}
