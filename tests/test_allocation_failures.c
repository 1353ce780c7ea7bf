/* Requests for memory fail, each alone and with all after it, in everything that gust
 * does: each time that ends in one clean line that says so, neither memory nor an open
 * file is leaked, and no file is lost or left behind. */
#define _XOPEN_SOURCE 700 /* dup2, ftruncate */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "cli/commands.h"
#include "cli/session_journal.h"
#include "cli/session_records.h"
#include "convert.h"
#include "failing_memory.h"
#include "file_writer.h"

#ifndef GUST_COUNTS_MEMORY
int main(void) {
  CHECK_SKIP("this linker cannot lead requests for memory to the test");
}
#else

#define MOST_IDS 64

/* A thing to do. It leaves its results in `outcome`, and may be asked for what must
 * hold afterwards, however it ended. A conversion makes hundreds of requests, nearly the
 * same ones in each of the four scenarios: each lets every fourth fail, beginning at
 * another one, so that together they come to all. */
typedef struct scenario {
  const char *name;
  gust_status (*run)(gust_error *err);
  void (*prepare)(void);             /* before each run; or NULL */
  void (*check)(gust_status status); /* after each run; or NULL */
  unsigned long first, stride;       /* the requests that fail, from 1; 0: every one */
} scenario;

typedef struct result {
  int32_t ids[MOST_IDS];
  size_t count;
  uint64_t hash;
} result;

static const char *source, *model_path, *session_path, *target, *partial;
static gust_model *model;
static result outcome, expected;

static uint64_t hash_of(const void *data, size_t bytes) {
  return gust_checksum(data, bytes, 0);
}

/* --- one request after the other ----------------------------------------------------- */

static bool is_clean(const gust_error *err) {
  size_t bytes = strlen(err->text);
  bool said = strstr(err->text, "memory") || strstr(err->text, "no room");
  return bytes > 10 && bytes < sizeof err->text - 1 && !strchr(err->text, '\n') && said;
}

static gust_status run_once(const scenario *s, failing_mode mode, unsigned long nth,
                            gust_error *err, unsigned long *requests) {
  *err = (gust_error){0};
  outcome = (result){0};
  if (s->prepare) s->prepare();
  long live = failing_memory_live();
  size_t files = check_files_in("/proc/self/fd");
  failing_memory_begin(mode, nth);
  gust_status status = s->run(err);
  *requests = failing_memory_end();
  bool kept = CHECK_EQ_INT(failing_memory_live(), live);
  if (!CHECK_EQ_INT(check_files_in("/proc/self/fd"), files) || !kept)
    fprintf(stderr, "  %s: request %lu, '%s'\n", s->name, nth, err->text);
  if (s->check) s->check(status);
  return status;
}

/* A failure may be one that gust does without: then the results are what they always
 * are. That cannot be so each time, or none was refused. Returns how often it was. */
static unsigned long fail_each(const scenario *s, failing_mode mode) {
  unsigned long survived = 0, requests = 0, tried = 0, stride = s->stride ? s->stride : 1;
  for (unsigned long nth = s->first ? s->first : 1;; nth += stride, tried++) {
    gust_error err;
    gust_status status = run_once(s, mode, nth, &err, &requests);
    if (nth > requests) {
      CHECK_EQ_INT(status, GUST_OK); /* none failed */
      CHECK(survived < tried);
      return survived;
    }
    if (status == GUST_OK) {
      survived++;
      CHECK(memcmp(&outcome, &expected, sizeof outcome) == 0);
    } else if (!CHECK(is_clean(&err))) {
      fprintf(stderr, "  %s: request %lu: status %d, '%s'\n", s->name, nth, status, err.text);
    }
  }
}

static void try_scenario(const scenario *s) {
  gust_error err;
  unsigned long requests = 0;
  printf("%-20s", s->name); /* before it crashes */
  fflush(stdout);
  if (!CHECK_EQ_INT(run_once(s, FAILING_ONE, 0, &err, &requests), GUST_OK))
    fprintf(stderr, "  %s: '%s'\n", s->name, err.text);
  expected = outcome;
  CHECK(requests > 0);
  unsigned long none = 0;
  CHECK(run_once(s, FAILING_ALL, 1, &err, &none) != GUST_OK); /* without any memory */
  unsigned long alone = fail_each(s, FAILING_ONE), all = fail_each(s, FAILING_ALL);
  printf(" %5lu requests, %lu done without, %lu with all that follow\n", requests, alone, all);
  fflush(stdout);
}

/* --- a model ------------------------------------------------------------------------- */

static gust_status open_with(gust_load load, gust_error *err) {
  const gust_model_options options = {.load = load};
  gust_model *opened = NULL;
  gust_status status = gust_model_open(&opened, model_path, &options, err);
  if (!status) outcome.hash = gust_model_fingerprint(opened);
  CHECK((status == GUST_OK) == (opened != NULL));
  if (!status) status = gust_model_verify(opened, NULL, NULL, err);
  gust_model_close(opened);
  return status;
}

static gust_status open_copy(gust_error *err) {
  return open_with(GUST_LOAD_COPY, err);
}

static gust_status open_mapped(gust_error *err) {
  return open_with(GUST_LOAD_MMAP, err);
}

static bool take_id(void *user, int32_t id, const char *text, size_t bytes) {
  (void)user, (void)text, (void)bytes;
  if (outcome.count < MOST_IDS) outcome.ids[outcome.count++] = id;
  return false;
}

static gust_status feed_and_generate(gust_context *context, gust_sampler *sampler,
                                     gust_error *err) {
  int32_t *ids = NULL;
  size_t count = 0;
  gust_status status =
      gust_tokenize(model, "ab a\xc3\xa4 ba", 8, GUST_TOKENIZE_BOS, &ids, &count, err);
  if (!status) status = gust_context_feed(context, ids, count, NULL, NULL, err);
  if (!status) status = gust_generate(context, sampler, NULL, 8, take_id, NULL, NULL, err);
  gust_free(ids);
  return status;
}

static gust_status generate(gust_error *err) {
  const gust_context_options options = {.positions = 40, .threads = 2, .batch = 4};
  const gust_sampling sampling = {.temperature = 1,
                                  .top_k = 40,
                                  .top_p = 0.9f,
                                  .min_p = 0.01f,
                                  .repeat_penalty = 1.1f,
                                  .seed = 3};
  gust_context *context = NULL;
  gust_sampler *sampler = NULL;
  gust_status status = gust_context_create(&context, model, &options, err);
  if (!status) status = gust_sampler_create(&sampler, model, &sampling, err);
  if (!status) status = feed_and_generate(context, sampler, err);
  gust_sampler_destroy(sampler);
  gust_context_destroy(context);
  return status;
}

static gust_status synthesize(gust_error *err) {
  gust_model *made = NULL;
  gust_status status = gust_model_create_synthetic(&made, "demo", "q4", NULL, NULL, err);
  if (!status) outcome.hash = gust_model_fingerprint(made);
  gust_model_close(made);
  return status;
}

/* --- text ---------------------------------------------------------------------------- */

static const gust_message messages[] = {
    {"system", "Be kind.", 8}, {"user", "a b", 3}, {"assistant", "ab", 2}, {"user", "b", 1}};

static const char busy_template[] =
    "{%- macro line(m) %}{{ m.role | upper ~ ': ' ~ m.content | trim }}\n{% endmacro -%}"
    "{% set ns = namespace(n=0, all=[]) %}{% for m in messages if m.role != 'system' %}"
    "{% set ns.n = ns.n + 1 %}{% set ns.all = ns.all + [m.content] %}{{ line(m) }}{% endfor %}"
    "{{ ns.all | join(', ') }}{{ {'a': [1, 2.5, none]} | tojson }}{{ messages[1:] | length }}"
    "{{ 'x'.replace('x', 'yy').split('y') }}{{ bos_token }}";

static gust_status render_with(const char *template, gust_error *err) {
  char *text = NULL;
  int32_t *ids = NULL;
  size_t count = 0;
  gust_status status = gust_chat_render_as(model, template, messages, 4, true, &text, err);
  if (!status)
    status = gust_chat_tokenize_as(model, template, messages, 4, true, &ids, &count, err);
  if (!status) outcome.hash = hash_of(text, strlen(text)) ^ hash_of(ids, count * sizeof *ids);
  CHECK(status == GUST_OK || !ids);
  gust_free(text);
  gust_free(ids);
  return status;
}

static gust_status render_chatml(gust_error *err) {
  return render_with(gust_chat_template_source("chatml"), err);
}

static gust_status render_busy(gust_error *err) {
  return render_with(busy_template, err);
}

/* --- sessions ------------------------------------------------------------------------ */

/* Adds a turn to what is there, which is opened anew and restored. */
static gust_status add_turn(gust_context *context, gust_error *err) {
  const int32_t ids[] = {1, 260, 261};
  const session_options options = {.model_name = "tiny.gust"};
  session_journal *journal = NULL;
  gust_status status = session_journal_open(&journal, session_path, model, &options, err);
  if (!status) status = session_journal_restore(journal, context, NULL, err);
  if (!status) status = session_journal_add_message(journal, "user", "ab", 2, err);
  if (!status) status = session_journal_add_setting(journal, "seed", "7", err);
  if (!status) status = gust_context_feed(context, ids, 3, NULL, NULL, err);
  if (!status) status = session_journal_commit(journal, context, err);
  if (!status) outcome.count = session_journal_message_count(journal);
  session_journal_close(journal);
  return status;
}

static gust_status session(gust_error *err) {
  const gust_context_options options = {.positions = 40, .threads = 1};
  gust_context *context = NULL;
  gust_status status = gust_context_create(&context, model, &options, err);
  if (!status) status = add_turn(context, err);
  gust_context_destroy(context);
  session_summary summary;
  if (!status) status = session_summary_read(&summary, session_path, err);
  if (!status) session_summary_clear(&summary);
  return status;
}

static void no_session(void) {
  remove(session_path);
}

static void one_turn(void) {
  gust_error err = {0};
  remove(session_path);
  CHECK_EQ_INT(session(&err), GUST_OK);
  outcome = (result){0};
}

/* What was committed is there, and the session goes on. */
static void check_session(size_t before, gust_status status) {
  gust_error err = {0};
  session_summary summary = {0};
  bool there = access(session_path, F_OK) == 0;
  if (there && CHECK_EQ_INT(session_summary_read(&summary, session_path, &err), GUST_OK))
    CHECK(!summary.damaged && summary.messages >= before + (status == GUST_OK));
  CHECK(there || before == 0);
  session_summary_clear(&summary);
}

static void check_new_session(gust_status status) {
  check_session(0, status);
}

static void check_old_session(gust_status status) {
  check_session(1, status);
}

static unsigned rewritten; /* how often the file became short */

/* One turn and, behind it, a cache that counts for nothing: the next one has the file
 * written anew. */
static void bloated_session(void) {
  static uint8_t bulk[5 << 20];
  uint8_t payload[52] = {0}; /* of another model: positions [0, 1) and their id */
  gust_error err = {0};
  session_file file;
  session_record record;
  one_turn();
  gust_status status = session_file_open(&file, session_path, true, &err);
  while (!status && session_record_read(&file, &record, &err) == RECORD_GOOD) free(record.payload);
  session_put64(payload + 32, 1);
  record = (session_record){.type = SESSION_CACHE,
                            .payload = payload,
                            .payload_bytes = sizeof payload,
                            .bulk_bytes = sizeof bulk};
  if (!status) status = session_record_append(&file, &record, bulk, &err);
  if (status) check_fatal("cannot bloat", err.text);
  session_file_close(&file);
}

static void check_bloated_session(gust_status status) {
  check_session(1, status);
  rewritten += check_file_bytes(session_path) < 1 << 20;
}

/* --- conversion ---------------------------------------------------------------------- */

static char *interrupted;
static size_t interrupted_bytes;

static gust_status convert_to(const char *path, gust_type type, gust_error *err) {
  const gust_convert_options options = {.type = type, .threads = 2};
  return gust_convert(source, path, &options, NULL, err);
}

static gust_status convert(gust_error *err) {
  return convert_to(target, GUST_TYPE_Q4, err);
}

static char long_text[1200]; /* of as many tokens as a calibration needs */

static gust_status convert_calibrated(gust_error *err) {
  const gust_convert_options options = {.type = GUST_TYPE_Q4,
                                        .threads = 1,
                                        .calibration = long_text,
                                        .calibration_bytes = sizeof long_text,
                                        .calibration_name = "text"};
  return gust_convert(source, target, &options, NULL, err);
}

static void old_target(void) {
  remove(partial);
  check_write_file(target, "old", 3);
}

static void interrupted_target(void) {
  old_target();
  check_write_file(partial, interrupted, interrupted_bytes);
}

/* The target is the old file or the new one; of a partial file the error speaks. */
static void check_target(gust_status status) {
  size_t bytes;
  char *data = check_read_file(target, &bytes);
  if (status == GUST_OK) outcome.hash = hash_of(data, bytes);
  CHECK(status == GUST_OK ? bytes > 100 && access(partial, F_OK) != 0
                          : bytes == 3 && memcmp(data, "old", 3) == 0);
  free(data);
}

/* A command may fail when it reports: then the new file is there, and whole. */
static void check_commanded(gust_status status) {
  gust_model *opened = NULL;
  size_t bytes;
  char *data = check_read_file(target, &bytes);
  bool old = bytes == 3 && memcmp(data, "old", 3) == 0;
  free(data);
  CHECK(old ? status != GUST_OK
            : gust_model_open(&opened, target, NULL, NULL) == GUST_OK &&
                  access(partial, F_OK) != 0);
  gust_model_close(opened);
}

static void check_resumed(gust_status status) {
  check_target(status);
  gust_error err = {0};
  if (status == GUST_OK) return;
  CHECK_EQ_INT(convert(&err), GUST_OK);
  size_t bytes;
  char *data = check_read_file(target, &bytes);
  CHECK(expected.hash == hash_of(data, bytes));
  free(data);
}

static bool stop_late(void *user, uint64_t done, uint64_t total) {
  (void)done, (void)total;
  return ++*(int *)user == 8;
}

static void interrupt_one(void) {
  int calls = 0;
  gust_error err = {0};
  const gust_convert_options options = {
      .type = GUST_TYPE_Q4, .threads = 1, .progress = stop_late, .user = &calls};
  CHECK_EQ_INT(gust_convert(source, target, &options, NULL, &err), GUST_E_CANCELLED);
  interrupted = check_read_file(partial, &interrupted_bytes);
}

/* --- commands ------------------------------------------------------------------------ */

static FILE *seen_out, *seen_err;
static int real_out, real_err;

static void redirect(void) {
  fflush(NULL);
  rewind(seen_out);
  rewind(seen_err);
  CHECK(ftruncate(fileno(seen_out), 0) == 0 && ftruncate(fileno(seen_err), 0) == 0);
  dup2(fileno(seen_out), STDOUT_FILENO);
  dup2(fileno(seen_err), STDERR_FILENO);
}

static void restore(void) {
  fflush(NULL);
  dup2(real_out, STDOUT_FILENO);
  dup2(real_err, STDERR_FILENO);
}

static size_t read_back(FILE *from, char *text, size_t room) {
  rewind(from);
  size_t bytes = fread(text, 1, room - 1, from);
  text[bytes] = 0;
  return bytes;
}

/* Every line on stderr is one of the command's; the last becomes the error. */
static void take_error(const char *name, char *text, gust_error *err) {
  char prefix[32], *last = text, *next;
  snprintf(prefix, sizeof prefix, "gust %s: ", name);
  size_t bytes = strlen(text);
  if (CHECK(bytes > 0 && text[bytes - 1] == '\n')) text[bytes - 1] = 0;
  for (char *line = text; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    CHECK(strncmp(line, prefix, strlen(prefix)) == 0);
    last = line;
  }
  snprintf(err->text, sizeof err->text, "%.500s", last);
}

/* Runs a command in this process. */
static gust_status command(char **words, gust_error *err) {
  const cli_command *found = command_find(words[0]);
  char text[4096];
  int count = 0;
  while (words[count + 1]) count++;
  redirect();
  int code = found->run(found, count, words + 1);
  failing_memory_end();
  restore();
  size_t bytes = read_back(seen_out, text, sizeof text);
  CHECK(code == 0 || code == COMMAND_FAILURE);
  if (code == 0) {
    outcome.hash = hash_of(text, bytes);
    return GUST_OK;
  }
  read_back(seen_err, text, sizeof text);
  take_error(words[0], text, err);
  return GUST_E_MEMORY;
}

#define COMMAND(name, ...)                   \
  static gust_status name(gust_error *err) { \
    char *words[] = {__VA_ARGS__, NULL};     \
    return command(words, err);              \
  }

#define RUNNING "--quiet", "--threads", "1"

static char *path_of_model, *path_of_ids, *path_of_target, *path_of_source, *path_of_text,
    *path_of_session, *path_of_line, *path_of_lines;

COMMAND(command_run_text, "run", path_of_model, "--raw", "-p", "ab a", "-n", "4", "--temp", "0",
        RUNNING)
COMMAND(command_logits_file, "logits", path_of_model, path_of_ids, "-o", path_of_target, RUNNING)
COMMAND(command_eval_text, "eval", path_of_model, "--text", path_of_text, "--ctx", "8", RUNNING)
COMMAND(command_inspect_json, "inspect", path_of_model, "--json")
COMMAND(command_verify_file, "verify", path_of_model, RUNNING)

static gust_status command_run_chat(gust_error *err) {
  char *words[] = {"run", path_of_model, "-p",     "ab a",   "-n",    "4", "--temp",
                   "0",   "--template",  "chatml", "--json", RUNNING, NULL};
  gust_status status = command(words, err);
  outcome.hash = 0; /* it prints how long it took */
  return status;
}

static gust_status command_convert_json(gust_error *err) {
  char *words[] = {"convert", path_of_source, "-o", path_of_target,
                   "--quiet", "--threads",    "1",  NULL};
  gust_status status = command(words, err);
  outcome.hash = 0; /* it prints how long it took */
  return status;
}

static gust_status command_tokenize_text(gust_error *err) {
  char *words[] = {"tokenize", path_of_model, NULL};
  if (!freopen(path_of_text, "r", stdin)) check_fatal("no standard input", path_of_text);
  return command(words, err);
}

static gust_status command_chat_session(gust_error *err) {
  char *words[] = {"chat",  path_of_model, "--template", "chatml", "--session", path_of_session,
                   "--ctx", "128",         "--temp",     "0",      RUNNING,     NULL};
  if (!freopen(path_of_line, "r", stdin)) check_fatal("no standard input", path_of_line);
  return command(words, err);
}

/* The second message fits when the first turn is dropped. */
static gust_status command_chat_overflow(gust_error *err) {
  char *words[] = {"chat",   path_of_model, "--template",    "chatml",      "--ctx", "64",
                   "--temp", "0",           "--on-overflow", "drop-oldest", RUNNING, NULL};
  if (!freopen(path_of_lines, "r", stdin)) check_fatal("no standard input", path_of_lines);
  return command(words, err);
}

/* --- all ----------------------------------------------------------------------------- */

static const scenario scenarios[] = {
    {"open copied", open_copy, NULL, NULL, 0, 0},
    {"open mapped", open_mapped, NULL, NULL, 0, 0},
    {"generate", generate, NULL, NULL, 0, 0},
    {"synthetic", synthesize, NULL, NULL, 0, 0},
    {"chatml", render_chatml, NULL, NULL, 0, 0},
    {"template", render_busy, NULL, NULL, 0, 0},
    {"session new", session, no_session, check_new_session, 0, 0},
    {"session resumed", session, one_turn, check_old_session, 0, 0},
    {"session rewritten", session, bloated_session, check_bloated_session, 0, 0},
    {"convert", convert, old_target, check_target, 1, 4},
    {"convert resumed", convert, interrupted_target, check_resumed, 2, 4},
    {"convert calibrated", convert_calibrated, old_target, check_target, 3, 4},
    {"run", command_run_text, NULL, NULL, 0, 0},
    {"run as chat", command_run_chat, NULL, NULL, 0, 0},
    {"tokenize", command_tokenize_text, NULL, NULL, 0, 0},
    {"logits", command_logits_file, old_target, NULL, 0, 0},
    {"eval", command_eval_text, NULL, NULL, 0, 0},
    {"inspect", command_inspect_json, NULL, NULL, 0, 0},
    {"verify", command_verify_file, NULL, NULL, 0, 0},
    {"convert command", command_convert_json, old_target, check_commanded, 4, 4},
    {"chat", command_chat_session, no_session, check_new_session, 0, 0},
    {"chat overflow", command_chat_overflow, NULL, NULL, 0, 0},
};

static void set_up(void) {
  gust_error err = {0};
  maker_model tiny = maker_tiny();
  source = check_temp_file("source");
  model_path = check_temp_file("tiny.gust");
  session_path = check_temp_file("session");
  target = check_temp_file("target.gust");
  partial = check_temp_file("target.gust" FILE_WRITER_SUFFIX);
  maker_write(&tiny, source, "BF16", 2);
  maker_free(&tiny);
  path_of_model = (char *)model_path;
  path_of_target = (char *)target;
  path_of_source = (char *)source;
  path_of_session = (char *)session_path;
  path_of_ids = (char *)check_temp_file("ids");
  path_of_text = (char *)check_temp_file("text");
  path_of_line = (char *)check_temp_file("line");
  path_of_lines = (char *)check_temp_file("lines");
  check_write_file(path_of_line, "ab\n", 3);
  check_write_file(path_of_lines, "ab\nab\n", 6);
  check_write_file(path_of_ids, "1 260 261 5", 11);
  check_write_file(path_of_text, "ab ab a b ba ab ab ab a b", 25);
  for (size_t i = 0; i < sizeof long_text; i++) long_text[i] = "ab a "[i * 7 % 5];
  if (convert_to(model_path, GUST_TYPE_Q8, &err)) check_fatal("cannot convert", err.text);
  if (gust_model_open(&model, model_path, NULL, &err)) check_fatal("cannot open", err.text);
  interrupt_one();
  seen_out = tmpfile();
  seen_err = tmpfile();
  real_out = dup(STDOUT_FILENO);
  real_err = dup(STDERR_FILENO);
  if (!seen_out || !seen_err || real_out < 0 || real_err < 0) check_fatal("no files", "");
  /* The first command that may be interrupted opens a pipe for that, which stays. */
  if (command_verify_file(&err)) check_fatal("cannot verify", err.text);
}

/* With names as arguments: these scenarios alone. An emulator takes minutes for conversions
 * beyond the first. */
int main(int argc, char **argv) {
  set_up();
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    bool is_long = scenarios[i].stride && scenarios[i].first > 1;
    bool wanted = argc == 1 && !(is_long && check_emulated());
    if (argc == 1 && !wanted) check_part_skipped(scenarios[i].name, "the processor is emulated");
    for (int a = 1; a < argc; a++) wanted = wanted || strcmp(argv[a], scenarios[i].name) == 0;
    if (wanted) try_scenario(&scenarios[i]);
  }
  CHECK(rewritten > 0 || argc > 1);
  gust_model_close(model);
  free(interrupted);
  fclose(seen_out);
  fclose(seen_err);
  close(real_out);
  close(real_err);
  return check_finish();
}
#endif
