/* gust verify: every checksum again, and the logits of the fixed prompt. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "interrupt.h"
#include "model_options.h"
#include "progress.h"

/* What was found, for the last line. */
typedef struct verified {
  gust_receipt_info receipt;
  bool has_receipt;
  char level[16];
  unsigned threads;
} verified;

static gust_status check_bytes(const gust_model *model, const char *path, bool quiet,
                               gust_error *err) {
  progress_line progress;
  gust_error found = {0}; /* it cannot know the path */
  progress_begin(&progress, "verifying", PROGRESS_BYTES, quiet);
  gust_status status = gust_model_verify(model, progress_update, &progress, &found);
  progress_end(&progress);
  return status == GUST_OK ? status : command_error(err, status, "%s: %s", path, found.text);
}

static gust_status compare_logits(gust_context *context, const char *path, bool quiet, verified *v,
                                  gust_error *err) {
  uint64_t hash = 0;
  progress_line progress;
  progress_begin(&progress, "computing", PROGRESS_TOKENS, quiet);
  gust_status status = gust_context_logits_hash(context, progress_update, &progress, &hash, err);
  progress_end(&progress);
  if (status != GUST_OK) return status;
  snprintf(v->level, sizeof v->level, "%s", gust_context_cpu(context));
  v->threads = gust_context_threads(context);
  if (hash == v->receipt.logits_hash) return GUST_OK;
  return command_error(
      err, GUST_E_FORMAT,
      "%s: logits hash: expected %016llx as when it was converted, found %016llx on level %s with "
      "%u threads, though all checksums agree: kernels, compiler or memory are at fault, or the "
      "file was tampered with; try --cpu c, then another build or machine",
      path, (unsigned long long)v->receipt.logits_hash, (unsigned long long)hash, v->level,
      v->threads);
}

static gust_status check_logits(const cli_command *command, const gust_model *model,
                                const char *path, const model_values *values, verified *v,
                                gust_error *err) {
  v->has_receipt = gust_model_get_receipt(model, &v->receipt);
  if (!v->has_receipt || v->receipt.prompt_tokens == 0) return GUST_OK;
  gust_context *context = NULL;
  gust_status status =
      model_options_context(&context, command, model, values, GUST_PROMPT_TOKENS, err);
  if (status == GUST_OK) status = compare_logits(context, path, values->quiet.given, v, err);
  gust_context_destroy(context);
  return status;
}

static gust_status print_result(const gust_model *model, const verified *v, gust_error *err) {
  const gust_model_info *info = gust_model_get_info(model);
  printf("ok: %zu tensors, %llu bytes\n", info->tensor_count, (unsigned long long)info->file_bytes);
  if (!v->has_receipt || v->receipt.prompt_tokens == 0) {
    printf("the file has no %s: logits were not compared\n",
           v->has_receipt ? "logits hash in its receipt" : "receipt");
  } else {
    printf("ok: logits hash %016llx on level %s with %u thread%s\n",
           (unsigned long long)v->receipt.logits_hash, v->level, v->threads,
           v->threads == 1 ? "" : "s");
  }
  return command_flush(err);
}

static int verify(const cli_command *command, int argc, char **argv) {
  model_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &values);
  if (code != OPTIONS_GO) return code;
  interrupt_install();
  gust_error err = {0};
  gust_model *model = NULL;
  verified found = {0};
  gust_status status = model_options_look(&model, operands[0], &err);
  if (status == GUST_OK) status = check_bytes(model, operands[0], values.quiet.given, &err);
  if (status == GUST_OK) status = check_logits(command, model, operands[0], &values, &found, &err);
  if (status == GUST_OK) status = print_result(model, &found, &err);
  gust_model_close(model);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_verify = {
    .name = "verify",
    .summary = "check a file against its checksums and its logits hash",
    .synopsis = "MODEL [options]",
    .description =
        "Reads the whole file and compares every tensor with its checksum, then runs the model on "
        "a fixed prompt and compares a hash of the logits with the one the converter left in the "
        "file. As logits are the same bits everywhere, that proves kernels, compiler and memory "
        "of this machine as well; --cpu and --threads choose which ones. Names the first damaged "
        "tensor, or the hash that differs.",
    .operands = {"MODEL"},
    .groups = {{"Running", compute_options, 0}},
    .run = verify,
};
