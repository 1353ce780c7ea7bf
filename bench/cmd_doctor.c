/* gust doctor: what this machine is, and how fast a 7B model would run on it. */
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "doctor.h"

typedef struct doctor_values {
  option_value json, threads;
  option_value quiet;
} doctor_values;

static const cli_option own_options[] = {
    {.name = "json",
     .kind = OPTION_FLAG,
     .help = "print everything as JSON",
     .place = offsetof(doctor_values, json)},
    {.name = "threads",
     .kind = OPTION_COUNT,
     .argument = "N",
     .help = "threads to measure with; default: the physical cores",
     .least = 1,
     .most = 1024,
     .place = offsetof(doctor_values, threads)},
    {.name = NULL},
};

static int doctor(const cli_command *command, int argc, char **argv) {
  doctor_values values = {0};
  model_values running = {0};
  const char *operands[COMMAND_MAX_OPERANDS];
  int code = options_parse(command, argc, argv, &values, operands);
  if (code == OPTIONS_GO) code = model_options_check(command, &running);
  if (code != OPTIONS_GO) return code;
  interrupt_install();
  gust_error err = {0};
  doctor_findings findings;
  progress_line progress;
  progress_begin(&progress, "measuring memory", PROGRESS_BYTES, values.quiet.given);
  gust_status status = doctor_examine(&findings, running.cpu.given ? running.cpu.text : NULL,
                                      values.threads.given ? (unsigned)values.threads.count : 0,
                                      progress_update, &progress, &err);
  progress_end(&progress);
  if (status == GUST_OK) {
    if (values.json.given)
      doctor_print_json(&findings);
    else
      doctor_print_text(&findings);
    status = command_flush(&err);
  }
  return status == GUST_OK ? 0 : command_fail(command, &err);
}

const cli_command command_doctor = {
    .name = "doctor",
    .summary = "look at this machine and predict a 7B model's speed",
    .synopsis = "[--json] [--threads N]",
    .description =
        "Looks at the processor, its cores, memory and pages, measures how fast its threads read "
        "memory and multiply 8-bit integers, and predicts from that the memory a 7B model takes "
        "and the speed it has here in q4 and q8, without any file. Names what limits decoding, and "
        "what would help. Takes up to 4 GiB of memory, for some ten seconds where nothing "
        "else runs and several times as long beside other work. The "
        "environment variable GUST_CPU caps the level, as everywhere.\n"
        "A prediction is a limit that was measured here times the share of it that gust was "
        "measured to reach elsewhere; gust bench measures the thing itself.",
    .groups = {{"Options", own_options, 0},
               {"Messages", quiet_options, offsetof(doctor_values, quiet)}},
    .run = doctor,
};
