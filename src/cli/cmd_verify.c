/* gust verify: every checksum again. */
#include <stdio.h>

#include "commands.h"
#include "interrupt.h"
#include "model_options.h"
#include "progress.h"

typedef struct verify_values {
  option_value quiet;
} verify_values;

static int verify(const cli_command *command, int argc, char **argv) {
  verify_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code != OPTIONS_GO) return code;
  interrupt_install();
  gust_error err = {0};
  gust_model *model = NULL;
  gust_status status = model_options_look(&model, operands[0], &err);
  if (status == GUST_OK) {
    progress_line progress;
    progress_begin(&progress, "verifying", PROGRESS_BYTES, values.quiet.given);
    gust_error found = {0}; /* it cannot know the path */
    status = gust_model_verify(model, progress_update, &progress, &found);
    progress_end(&progress);
    if (status != GUST_OK) command_error(&err, status, "%s: %s", operands[0], found.text);
  }
  if (status == GUST_OK) {
    const gust_model_info *info = gust_model_get_info(model);
    printf("ok: %zu tensors, %llu bytes\n", info->tensor_count,
           (unsigned long long)info->file_bytes);
    status = command_flush(&err);
  }
  gust_model_close(model);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_verify = {
    .name = "verify",
    .summary = "check a file against its checksums",
    .synopsis = "MODEL",
    .description =
        "Reads the whole file and compares every tensor with its checksum. Prints the "
        "number of tensors and the size of the file, or names the first damaged tensor.",
    .operands = {"MODEL"},
    .groups = {{"Messages", quiet_options, offsetof(verify_values, quiet)}},
    .run = verify,
};
