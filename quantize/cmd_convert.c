/* gust convert: the command around the converter. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calibration_text.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/json_out.h"
#include "cli/model_options.h"
#include "cli/model_report.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "convert.h"
#include "kernels/os.h"
#include "source_measure.h"
#include "whole_file.h"

#define DEFAULT_AGAINST_CHUNKS 16u

typedef struct convert_values {
  option_value output, type, calibrate, target_bits, against_source, against_chunks;
  option_value threads, cpu, json, quiet;
  option_texts keep;
} convert_values;

static const cli_option own_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = OPTION_TEXT,
     .argument = "FILE",
     .help = "the file to write; default: the folder's name and -TYPE.gust, here",
     .place = offsetof(convert_values, output)},
    {.name = "type",
     .kind = OPTION_CHOICE,
     .argument = MATRIX_TYPES,
     .help = "type of the matrices; default q4",
     .place = offsetof(convert_values, type)},
    {.name = "calibrate",
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .help = "round so that what the model computes from this text changes least, for q4 and q8; "
             "a file of at least a few thousand words as the model will see them, or \"default\": "
             "a built-in text",
     .place = offsetof(convert_values, calibrate)},
    {.name = "keep",
     .kind = OPTION_TEXTS,
     .argument = "PATTERN=TYPE",
     .help = "type of the matrices whose name in the file matches, with * and ?; may be given "
             "several times, the last that matches decides",
     .place = offsetof(convert_values, keep)},
    {.name = "target-bits",
     .kind = OPTION_REAL,
     .argument = "B",
     .help =
         "q8 instead of q4 where it helps most for its bytes, up to B bits per weight on "
         "average over the matrices that are either; a checkpoint allows what all q4 come to up "
         "to all q8, 4.3 to 8.3 where no matrix is padded",
     .low = 4.25,
     .high = 64,
     .place = offsetof(convert_values, target_bits)},
    {.name = "against-source",
     .kind = OPTION_TEXT,
     .argument = "TEXT",
     .help = "measure on this text how far the file is from its source in float32; takes disk for "
             "the source once more meanwhile; of a text that is calibrated on too, the last eighth "
             "is measured on and the rest calibrated on",
     .place = offsetof(convert_values, against_source)},
    {.name = "against-chunks",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "of that text take at most N chunks of 512 tokens; default 16",
     .least = 1,
     .most = UINT32_MAX,
     .place = offsetof(convert_values, against_chunks)},
    {.name = "threads",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "threads to compute with; default: the physical cores",
     .least = 1,
     .most = 1024,
     .place = offsetof(convert_values, threads)},
    {.name = "cpu",
     .kind = OPTION_CHOICE,
     .argument = CPU_LEVELS,
     .help = "fastest instruction-set level to use; the file is the same with any",
     .place = offsetof(convert_values, cpu)},
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "print the result as JSON",
     .place = offsetof(convert_values, json)},
    {.name = NULL},
};

/* "models/demo/" and q4 give "demo-q4.gust"; NULL when the path ends in no name
 * ("..", "/"). To be freed. */
static char *default_target(const char *folder, const char *type) {
  size_t end = strlen(folder);
  while (end > 0 && os_is_separator(folder[end - 1])) end--;
  size_t begin = end;
  while (begin > 0 && !os_is_separator(folder[begin - 1])) begin--;
  size_t length = end - begin;
  if (length == 0 || (length <= 2 && strspn(folder + begin, ".") >= length)) return NULL;
  size_t bytes = length + strlen(type) + sizeof "-.gust";
  char *target = malloc(bytes);
  if (target) snprintf(target, bytes, "%.*s-%s.gust", (int)length, folder + begin, type);
  return target;
}

/* --- the result -------------------------------------------------------------------- */

/* What --target-bits is about: bits per weight of the matrices that are q4 or q8. */
static double quantized_bits(const gust_convert_report *report) {
  const gust_convert_part *q4 = &report->parts[GUST_TYPE_Q4], *q8 = &report->parts[GUST_TYPE_Q8];
  uint64_t parameters = q4->parameters + q8->parameters;
  return parameters ? 8.0 * (double)(q4->bytes + q8->bytes) / (double)parameters : 0;
}

static void print_table(const gust_convert_report *report, const char *target,
                        const option_value *target_bits) {
  printf("%-6s %8s %16s %12s %12s %12s\n", "type", "tensors", "parameters", "bytes", "bits/weight",
         "rms error");
  for (int type = 0; type < GUST_TYPE_COUNT; type++) {
    const gust_convert_part *part = &report->parts[type];
    char parameters[HUMAN_BYTES], bytes[HUMAN_BYTES];
    if (part->tensors == 0) continue;
    printf("%-6s %8llu %16s %12s %12.3f %12.6f\n", gust_type_name((gust_type)type),
           (unsigned long long)part->tensors, human_count(parameters, part->parameters),
           human_bytes(bytes, (double)part->bytes), part->bits_per_weight, part->rms_error);
  }
  char from[HUMAN_BYTES], to[HUMAN_BYTES], time[HUMAN_BYTES];
  printf("%s: %s (%llu bytes) from %s of weights in %s, %.3f bits/weight\n", target,
         human_bytes(to, (double)report->file_bytes), (unsigned long long)report->file_bytes,
         human_bytes(from, (double)report->source_bytes), human_duration(time, report->seconds),
         report->bits_per_weight);
  if (target_bits->given)
    printf("%-22s %.3f of at most %g, over the q4 and q8 matrices\n", "target bits",
           quantized_bits(report), target_bits->real);
  if (report->calibration_tokens)
    printf("%-22s %llu tokens\n", "calibrated on", (unsigned long long)report->calibration_tokens);
}

/* The rest of the table. */
static void print_receipt(const gust_model *model) {
  gust_receipt_info receipt;
  if (gust_model_get_receipt(model, &receipt)) model_report_receipt_rows(&receipt);
}

static void print_parts(json_out *json, const gust_convert_report *report) {
  json_out_open_array(json, "types", true);
  for (int type = 0; type < GUST_TYPE_COUNT; type++) {
    const gust_convert_part *part = &report->parts[type];
    if (part->tensors == 0) continue;
    json_out_open_object(json, NULL, false);
    json_out_string(json, "type", gust_type_name((gust_type)type));
    json_out_count(json, "tensors", part->tensors);
    json_out_count(json, "parameters", part->parameters);
    json_out_count(json, "bytes", part->bytes);
    json_out_real(json, "bits_per_weight", part->bits_per_weight);
    json_out_real(json, "rms_error", part->rms_error);
    json_out_close(json);
  }
  json_out_close(json);
}

/* "tensors" is the same list as of `gust inspect`; `model` is the file just
 * written. */
static void print_json(const gust_convert_report *report, const char *target,
                       const option_value *target_bits, const gust_model *model) {
  json_out json = {.file = stdout};
  json_out_open_object(&json, NULL, true);
  json_out_string(&json, "file", target);
  json_out_count(&json, "file_bytes", report->file_bytes);
  json_out_real(&json, "bits_per_weight", report->bits_per_weight);
  if (target_bits->given) {
    json_out_real(&json, "target_bits", target_bits->real);
    json_out_real(&json, "quantized_bits_per_weight", quantized_bits(report));
  }
  json_out_count(&json, "parameters", report->parameters);
  json_out_count(&json, "source_bytes", report->source_bytes);
  json_out_count(&json, "resumed_tensors", report->resumed);
  json_out_count(&json, "calibration_tokens", report->calibration_tokens);
  json_out_real(&json, "seconds", report->seconds);
  print_parts(&json, report);
  model_report_json_receipt(&json, model);
  model_report_json_tensors(&json, model);
  json_out_close(&json);
}

/* A template beyond the subset of Jinja there is does not keep a model from
 * being used, but is better known now than at the first conversation. */
static void try_template(const cli_command *command, const gust_model *model) {
  const gust_message message = {"user", "Hello!", strlen("Hello!")};
  char *text = NULL;
  gust_error err = {0};
  if (!gust_model_chat_template(model)) return;
  if (gust_chat_render(model, &message, 1, true, &text, &err) != GUST_OK)
    command_note(command, "note: the chat template does not render: %s; use --template NAME",
                 err.text);
  free(text);
}

typedef struct convert_screen {
  const cli_command *command;
  progress_line progress;
} convert_screen;

static bool show_progress(void *user, uint64_t done, uint64_t total) {
  return progress_update(&((convert_screen *)user)->progress, done, total);
}

static void show_note(void *user, const char *line) {
  command_note(((convert_screen *)user)->command, "note: %s", line);
}

/* --- the command ------------------------------------------------------------------- */

/* Far more than any calibration reads. */
#define MOST_TEXT_BYTES ((size_t)64 << 20)

static gust_status open_calibration(const convert_values *values, whole_file *text,
                                    gust_convert_options *options, gust_error *err) {
  const char *name = values->calibrate.text;
  if (!values->calibrate.given) return GUST_OK;
  if (strcmp(name, "default") == 0) {
    options->calibration = gust_calibration_text;
    options->calibration_bytes = gust_calibration_text_bytes;
  } else {
    if (!whole_file_read(text, name, MOST_TEXT_BYTES))
      return errno == EFBIG
                 ? gust_fail(err, GUST_E_ARGUMENT,
                             "%s: expected a text of at most %zu bytes, found %zu; give a part of "
                             "it",
                             name, MOST_TEXT_BYTES, text->bytes)
                 : whole_file_fail(text, name, "a text to calibrate on",
                                   "; give a file, or default", err);
    options->calibration = text->data;
    options->calibration_bytes = text->bytes;
  }
  options->calibration_name = name;
  return GUST_OK;
}

/* A text to measure on that is the one calibrated on would flatter: the last part of
 * it is kept back from calibration, from the beginning of a line. */
#define HELD_OUT_PART 8u

static gust_status hold_out_tail(source_measure *measure, gust_convert_options *options,
                                 gust_error *err) {
  size_t bytes = options->calibration_bytes, begin = bytes - bytes / HELD_OUT_PART;
  if (!options->calibration || measure->bytes != bytes ||
      memcmp(measure->text, options->calibration, bytes) != 0)
    return gust_fail(err, GUST_E_IO, "%s: expected a text that stays as it is, found it changed",
                     measure->text_name);
  const char *line = memchr(measure->text + begin, '\n', bytes - begin);
  if (line) begin = (size_t)(line + 1 - measure->text);
  while (begin < bytes && (measure->text[begin] & 0xC0) == 0x80) begin++; /* within a character */
  options->calibration_bytes = begin;
  measure->text += begin;
  measure->bytes -= begin;
  return GUST_OK;
}

/* When both texts are one. */
static gust_status hold_out(source_measure *measure, gust_convert_options *options,
                            const convert_values *values, gust_error *err) {
  if (!values->calibrate.given || strcmp(values->calibrate.text, "default") == 0) return GUST_OK;
  return os_same_file(values->calibrate.text, measure->text_name)
             ? hold_out_tail(measure, options, err)
             : GUST_OK;
}

/* With --against-source the options get the measurement, and *text what it is
 * measured on, to be freed. */
static gust_status prepare_measure(source_measure *measure, gust_convert_options *options,
                                   const convert_values *values, char **text, gust_error *err) {
  const option_value *chunks = &values->against_chunks;
  if (!values->against_source.given) return GUST_OK;
  measure->text_name = values->against_source.text;
  measure->chunks = chunks->given ? chunks->count : DEFAULT_AGAINST_CHUNKS;
  if (strcmp(measure->text_name, "default") == 0)
    return gust_fail(
        err, GUST_E_ARGUMENT,
        "--against-source: expected a file, found \"default\": the built-in text is too "
        "short to be measured on; give a file (./default for one of that name)");
  gust_status status = input_read(measure->text_name, text, &measure->bytes, err);
  measure->text = *text;
  if (status == GUST_OK) status = hold_out(measure, options, values, err);
  if (status != GUST_OK) return status;
  options->measure = source_measure_run;
  options->measure_user = measure;
  return source_measure_prepare(measure, options, err);
}

static gust_status report(const cli_command *command, const convert_values *values,
                          const gust_convert_report *report, const char *target, gust_error *err) {
  gust_model *model;
  gust_status status = model_options_look(&model, target, err);
  if (status != GUST_OK) return status;
  if (values->json.given) {
    print_json(report, target, &values->target_bits, model);
  } else {
    print_table(report, target, &values->target_bits);
    print_receipt(model);
  }
  if (!values->quiet.given) try_template(command, model);
  gust_model_close(model);
  return command_flush(err);
}

static gust_status convert_folder(const cli_command *command, const convert_values *values,
                                  const model_values *running, const char *folder, gust_type type,
                                  const char *target, gust_error *err) {
  convert_screen screen = {.command = command};
  char *text = NULL;
  whole_file calibration = {0};
  gust_convert_options options = {
      .type = type,
      .threads = values->threads.given ? (unsigned)values->threads.count : 0,
      .cpu = running->cpu.given ? running->cpu.text : NULL,
      .keep = values->keep.text,
      .keep_count = values->keep.count,
      .target_bits = values->target_bits.given ? values->target_bits.real : 0,
      .progress = show_progress,
      .note = values->quiet.given ? NULL : show_note,
      .user = &screen};
  source_measure measure = {.command = command,
                            .values = running,
                            .folder = folder,
                            .target = target,
                            .progress = &screen.progress};
  gust_convert_report result;
  gust_status status = open_calibration(values, &calibration, &options, err);
  if (status == GUST_OK) status = prepare_measure(&measure, &options, values, &text, err);
  if (status == GUST_OK) {
    progress_begin(&screen.progress, "converting", PROGRESS_BYTES, values->quiet.given);
    status = gust_convert(folder, target, &options, &result, err);
    progress_end(&screen.progress);
  }
  whole_file_free(&calibration);
  free(text);
  return status == GUST_OK ? report(command, values, &result, target, err) : status;
}

static int convert(const cli_command *command, int argc, char **argv) {
  convert_values values = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  model_values running = {.threads = values.threads, .cpu = values.cpu, .quiet = values.quiet};
  if (code == OPTIONS_GO) code = model_options_check(command, &running);
  if (code != OPTIONS_GO) return code;
  if (values.against_chunks.given && !values.against_source.given)
    return command_misuse(command, "--against-chunks goes with --against-source; give both");
  if (values.output.given && strcmp(values.output.text, "-") == 0)
    return command_misuse(command,
                          "-o: expected the name of a file, found '-'; a .gust file cannot be "
                          "written to standard output: give it a name");
  gust_type type = GUST_TYPE_Q4;
  if (values.type.given) gust_type_parse(values.type.text, &type); /* the table knows the names */
  char *named = NULL;
  const char *target = values.output.text;
  if (!target) target = named = default_target(operands[0], gust_type_name(type));
  if (!target)
    return command_misuse(command, "'%s' gives the file no name; give one with -o FILE",
                          operands[0]);
  interrupt_install();
  gust_error err = {0};
  gust_status status = convert_folder(command, &values, &running, operands[0], type, target, &err);
  free(named);
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_convert = {
    .name = "convert",
    .summary = "turn a Hugging Face checkpoint folder into one .gust file",
    .synopsis = "SRC_DIR [-o FILE] [--type " MATRIX_TYPES "] [options]",
    .description =
        "Reads config.json, the tokenizer, the chat template and all weights of a Mistral- or "
        "Llama-shaped checkpoint and writes them as one file, which appears under its name when "
        "it is complete. One that was interrupted leaves FILE.converting behind; the same command "
        "goes on from there. Ends with a table of what became of the weights; rms error is "
        "relative to them. The file keeps that as its receipt, with a hash of its logits for gust "
        "verify. Settings of sampling that generation_config.json leaves out become gust's own: "
        "gust inspect shows them.",
    .operands = {"SRC_DIR"},
    .groups = {{"Options", own_options, 0},
               {"Messages", quiet_options, offsetof(convert_values, quiet)}},
    .run = convert,
};
