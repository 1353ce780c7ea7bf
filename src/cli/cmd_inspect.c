/* gust inspect: what a file holds. */
#include <stdio.h>

#include "commands.h"
#include "json_out.h"
#include "model_options.h"
#include "model_report.h"

typedef struct inspect_values {
  option_value json;
  option_value quiet;
} inspect_values;

static const cli_option own_options[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "print everything as JSON",
     .place = offsetof(inspect_values, json)},
    {.name = NULL},
};

static void print_json(const gust_model *model, const char *path) {
  model_type_total totals[MODEL_REPORT_TYPES];
  size_t count = model_report_totals(model, totals);
  json_out json = {.file = stdout};
  json_out_open_object(&json, NULL, true);
  json_out_string(&json, "file", path);
  model_report_json_header(&json, model);
  json_out_string(&json, "chat_template", gust_model_chat_template(model));
  json_out_open_array(&json, "types", true);
  for (size_t i = 0; i < count; i++) {
    json_out_open_object(&json, NULL, false);
    json_out_string(&json, "type", totals[i].type);
    json_out_count(&json, "tensors", totals[i].tensors);
    json_out_count(&json, "parameters", totals[i].parameters);
    json_out_count(&json, "bytes", totals[i].bytes);
    json_out_real(&json, "bits_per_weight", model_report_bits(&totals[i]));
    json_out_close(&json);
  }
  json_out_close(&json);
  model_report_json_receipt(&json, model);
  model_report_json_tensors(&json, model);
  json_out_close(&json);
}

static int inspect(const cli_command *command, int argc, char **argv) {
  inspect_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code != OPTIONS_GO) return code;
  gust_error err = {0};
  gust_model *model = NULL;
  gust_status status = model_options_look(&model, operands[0], &err);
  if (status == GUST_OK) {
    if (values.json.given) {
      print_json(model, operands[0]);
    } else {
      model_report_table(model);
    }
    status = command_flush(&err);
  }
  gust_model_close(model);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_inspect = {
    .name = "inspect",
    .summary = "show what a file holds",
    .synopsis = "MODEL [--json]",
    .description =
        "Prints the header of a .gust file: hyper-parameters, generation defaults, sources, the "
        "converter's receipt (errors of the weights, hash of the logits, quality where it was "
        "measured), and type, shape and place of every tensor.",
    .operands = {"MODEL"},
    .groups = {{"Options", own_options, 0},
               {"Messages", quiet_options, offsetof(inspect_values, quiet)}},
    .run = inspect,
};
