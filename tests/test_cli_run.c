/* gust run for scripts: stop texts, log-probabilities, templates by name, what is
 * no text, and where progress goes. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "cli/model_options.h"
#include "demo_model.h"
#include "run_gust.h"

/* --- stop texts ----------------------------------------------------------------------- */

static void expect_stop(const char *stop, const char *other, const char *out) {
  const char *model = run_gust_demo("f32");
  CHECK_GUST(0, out, "", "Who are you?\n", "run", model, "--temp", "0", "--quiet", "--stop", stop,
             "--stop", other);
}

static void test_stop(void) {
  static const char whole[] =
      "I am the demo model of gust, a tiny language model with about eight million parameters. I "
      "can tell short stories and chat a little.\n";
  expect_stop("tiny lang", "zzz", "I am the demo model of gust, a \n"); /* spans tokens */
  expect_stop("zzz", "emo mod", "I am the d\n");
  expect_stop("parameters", " model", "I am the demo\n");
  expect_stop("I", "am", "\n");
  expect_stop("little.", "tale",
              "I am the demo model of gust, a tiny language model with about eight million "
              "parameters. I can tell short stories and chat a \n");
  expect_stop("little. And", "a little.x", whole); /* began, and never came */
  const char *model = run_gust_demo("f32");
  run_result result = run_gust("Who are you?", "run", model, "--temp", "0", "--quiet", "--json",
                               "--stop", "gust,", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_CONTAINS(result.out, "\"text\": \"I am the demo model of \",\n");
  CHECK_CONTAINS(result.out, "\"ids\": [4033, 650, 264, 3270, 1172, 334, 1347, 4023],\n");
  CHECK_CONTAINS(result.out, "\"tokens\": 8,\n  \"finish\": \"stop\",\n");
  run_result_clear(&result);
  result = run_gust("Who are you?", "run", model, "--temp", "0", "--quiet", "--json", "--stop",
                    "nothing", (const char *)NULL);
  CHECK_CONTAINS(result.out, "\"finish\": \"eos\",\n");
  run_result_clear(&result);
}

static void test_misuse(void) {
  const char *model = run_gust_demo("q4");
  CHECK_GUST(2, "", "gust run: --stop: expected some text, found none\n", "a", "run", model,
             "--stop", "");
  CHECK_GUST(2, "", "gust run: --stop: expected at most 16 of them, found more\n", "a", "run",
             model, "--stop=1", "--stop=2", "--stop=3", "--stop=4", "--stop=5", "--stop=6",
             "--stop=7", "--stop=8", "--stop=9", "--stop=10", "--stop=11", "--stop=12", "--stop=13",
             "--stop=14", "--stop=15", "--stop=16", "--stop=17");
  CHECK_GUST(2, "", "gust run: --stop: expected TEXT, found the end of the command line\n", "a",
             "run", model, "--stop");
  CHECK_GUST(2, "", "gust run: --logprobs goes with --json; give both\n", "a", "run", model,
             "--logprobs", "1");
  CHECK_GUST(2, "", "gust run: --logprobs: expected a whole number from 0 to 100, found '101'\n",
             "a", "run", model, "--json", "--logprobs", "101");
  CHECK_GUST(2, "", "gust run: --raw and --template exclude each other\n", "a", "run", model,
             "--raw", "--template", "chatml");
  char names[160], expected[256];
  options_spell_choices(template_options[0].argument, names, sizeof names);
  snprintf(expected, sizeof expected, "gust run: --template: expected %s, found 'ollama'\n", names);
  CHECK_GUST(2, "", expected, "a", "run", model, "--template", "ollama");
}

/* --- log-probabilities ------------------------------------------------------------------ */

static double number_after(const char **at, const char *key) {
  const char *found = strstr(*at, key);
  if (!found) {
    CHECK(!"the key is there");
    return (double)NAN;
  }
  *at = found + strlen(key);
  return strtod(*at, NULL);
}

static float read_f32(const char *data) {
  uint32_t bits = 0;
  for (int k = 0; k < 4; k++) bits |= (uint32_t)(unsigned char)data[k] << (8 * k);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Against the logits of gust logits, for the first token: it and the best three. */
static void test_logprobs(void) {
  enum { VOCAB = 4096, TOP = 3 };
  const char *model = run_gust_demo("f32"), *text = "Once upon a time, there was a";
  const char *ids = check_temp_file("ids.txt"), *file = check_temp_file("logits.f32");
  run_result result = run_gust(text, "tokenize", model, (const char *)NULL);
  check_write_file(ids, result.out, result.out_bytes);
  run_result_clear(&result);
  CHECK_GUST(0, "", "", NULL, "logits", model, ids, "-o", file, "--quiet");
  size_t bytes;
  char *data = check_read_file(file, &bytes);
  if (!CHECK(bytes >= VOCAB * 4)) check_fatal("too few logits", file);
  const char *last = data + bytes - VOCAB * 4;
  double sum = 0;
  for (int i = 0; i < VOCAB; i++) sum += exp((double)read_f32(last + 4 * i));
  result = run_gust(text, "run", model, "--raw", "--json", "--logprobs", "3", "-n", "2", "--temp",
                    "2", "--seed", "5", "--repeat-penalty", "1.5", "--quiet", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  const char *at = strstr(result.out, "\"logprobs\": [");
  if (!at) check_fatal("no logprobs", result.out);
  int id = (int)number_after(&at, "{\"id\": ");
  CHECK(fabs(number_after(&at, "\"logprob\": ") - ((double)read_f32(last + 4 * id) - log(sum))) <
        1e-9);
  double before = 0;
  for (int k = 0; k < TOP; k++) {
    id = (int)number_after(&at, "{\"id\": ");
    double logprob = number_after(&at, "\"logprob\": "), logit = (double)read_f32(last + 4 * id);
    CHECK(fabs(logprob - (logit - log(sum))) < 1e-9);
    CHECK(logprob <= before);
    before = logprob;
    int larger = 0;
    for (int i = 0; i < VOCAB; i++) larger += (double)read_f32(last + 4 * i) > logit;
    CHECK_EQ_INT(larger, k);
  }
  run_result_clear(&result);
  free(data);
}

/* The texts of the tokens, one after the other, are the answer's. */
static void test_logprob_texts(void) {
  const char *model = run_gust_demo("f32");
  run_result result = run_gust("Who are you?", "run", model, "--temp", "0", "--quiet", "--json",
                               "--logprobs", "0", "-n", "5", (const char *)NULL);
  CHECK_CONTAINS(result.out, "\"text\": \"I am the demo model\",\n");
  static const char *const texts[] = {"\"I\"", "\" am\"", "\" the\"", "\" demo\"", "\" model\""};
  const char *at = strstr(result.out, "\"logprobs\": [");
  for (size_t i = 0; at && i < 5; i++) {
    char part[64];
    snprintf(part, sizeof part, "\"text\": %s, \"logprob\": -", texts[i]);
    at = strstr(at, part);
    CHECK(at != NULL);
    if (at) at = strstr(at, "\"top\": []}");
  }
  CHECK(at != NULL);
  run_result_clear(&result);
  result =
      run_gust("Who are you?", "run", model, "--json", "-n", "1", "--quiet", (const char *)NULL);
  CHECK(strstr(result.out, "logprobs") == NULL);
  run_result_clear(&result);
}

/* --- templates by name -------------------------------------------------------------------- */

static void expect_render(const gust_model *model, const char *name, const char *wanted) {
  static const gust_message messages[] = {{"user", "Hi </s>", 7}};
  gust_error err = {GUST_OK, ""};
  char *text = NULL;
  CHECK_EQ_INT(gust_chat_render_as(model, name ? gust_chat_template_source(name) : NULL, messages,
                                   1, true, &text, &err),
               GUST_OK);
  CHECK_EQ_STR(text ? text : err.text, wanted);
  gust_free(text);
}

static void test_rendered_by_name(void) {
  gust_model *model = demo_model_open("q4");
  expect_render(model, NULL, "<|user|>\nHi </s></s>\n<|assistant|>\n");
  expect_render(model, "zephyr", "<|user|>\nHi </s></s>\n<|assistant|>\n");
  expect_render(model, "mistral-v0.1", "<s>[INST] Hi </s> [/INST]");
  expect_render(model, "mistral-v0.2", "<s> [INST] Hi </s> [/INST]");
  expect_render(model, "mistral-v0.3", "<s>[INST] Hi </s>[/INST]");
  expect_render(model, "llama-2", "<s>[INST] Hi </s> [/INST]");
  expect_render(model, "vicuna", "USER: Hi </s> ASSISTANT:");
  expect_render(model, "chatml", "<|im_start|>user\nHi </s><|im_end|>\n<|im_start|>assistant\n");
  expect_render(model, "phi-3", "<|user|>\nHi </s><|end|>\n<|assistant|>\n");
  static const gust_message messages[] = {{"user", "</s>", 4}};
  int32_t *ids = NULL;
  size_t count = 0;
  gust_error err;
  CHECK_EQ_INT(gust_chat_tokenize_as(model, gust_chat_template_source("llama-2"), messages, 1, true,
                                     &ids, &count, &err),
               GUST_OK);
  CHECK(count > 3 && ids[0] == 1 && ids[1] != 1);        /* one <s>, the template's */
  for (size_t i = 0; i < count; i++) CHECK(ids[i] != 2); /* the user's is text */
  gust_free(ids);
  gust_model_close(model);
}

static void test_template_option(void) {
  const char *model = run_gust_demo("f32");
  CHECK_GUST(0, "I am the\n", "", "Who are you?", "run", model, "--temp", "0", "-n", "3", "--quiet",
             "--template", "zephyr");
  run_result zephyr = run_gust("Who are you?", "run", model, "--temp", "0", "-n", "1", "--quiet",
                               "--json", (const char *)NULL);
  run_result vicuna = run_gust("Who are you?", "run", model, "--temp", "0", "-n", "1", "--quiet",
                               "--json", "--template", "vicuna", (const char *)NULL);
  CHECK_CONTAINS(zephyr.out, "\"prompt_tokens\": 17,\n");
  CHECK_EQ_INT(vicuna.code, 0);
  CHECK(strstr(vicuna.out, "\"prompt_tokens\": 17,\n") == NULL);
  run_result_clear(&zephyr);
  run_result_clear(&vicuna);
}

/* Without a template of its own and without a name nothing is guessed. */
static void test_no_template(void) {
  const char *folder = check_temp_file("bare"), *file = check_temp_file("bare.gust");
  maker_model bare = maker_small(false, true);
  maker_write(&bare, folder, "F32", 1);
  CHECK_GUST(0, NULL, "", NULL, "convert", folder, "-o", file, "--type", "f32", "--quiet");
  char names[160], expected[1024];
  options_spell_choices(template_options[0].argument + strlen(TEMPLATE_OWN "|"), names,
                        sizeof names);
  snprintf(expected, sizeof expected,
           "gust run: %s: expected a chat template, found none; the checkpoint's description may "
           "say which it was trained with: give --template %s\n",
           file, names);
  CHECK_GUST(1, "", expected, "a", "run", file, "-n", "1", "--quiet");
  CHECK_GUST(0, NULL, "", "a", "run", file, "-n", "1", "--quiet", "--template", "chatml");
  CHECK_GUST(0, NULL, "", "a", "run", file, "-n", "1", "--quiet", "--raw");
  static const gust_message messages[] = {{"user", "a", 1}};
  gust_model *model = model_open_or_die(file);
  gust_error err;
  char *text = NULL;
  CHECK_EQ_INT(gust_chat_render(model, messages, 1, true, &text, &err), GUST_E_UNSUPPORTED);
  CHECK(text == NULL);
  CHECK_CONTAINS(err.text, "expected a chat template in the file, found none");
  gust_model_close(model);
  maker_free(&bare);
}

/* --- no text, no output ------------------------------------------------------------------ */

static void expect_garbage(const char *input, size_t bytes, const char *error) {
  const char *argv[] = {run_gust_binary(), "run", run_gust_demo("q4"), "--quiet", NULL};
  run_result result = run_program(argv, input, bytes);
  CHECK_EQ_INT(result.code, 1);
  CHECK_EQ_STR(result.out, "");
  CHECK_EQ_STR(result.err, error);
  run_result_clear(&result);
}

static void test_garbage(void) {
  expect_garbage("ab\0c", 4,
                 "gust run: standard input: expected text in UTF-8, found byte 0x00 at offset 2\n");
  expect_garbage("\x7f\x45\x4c\x46\xf0", 5,
                 "gust run: standard input: expected text in UTF-8, found byte 0xf0 at offset 4\n");
#ifdef _WIN32
  check_part_skipped("arguments that are no text", "they are UTF-16 there");
#else
  const char *model = run_gust_demo("q4");
  CHECK_GUST(2, "", "gust run: -p: expected text in UTF-8, found byte 0xff at offset 1\n", NULL,
             "run", model, "-p", "a\xff");
  CHECK_GUST(2, "", "gust run: --system: expected text in UTF-8, found byte 0xc3 at offset 0\n",
             "a", "run", model, "--system", "\xc3");
#endif
}

#ifdef _WIN32
static void test_closed_output(void) {
  check_part_skipped("a closed output, and progress at a terminal",
                     "there is no shell to arrange it");
}

static void test_progress(void) {}
#else
static void test_closed_output(void) {
  char line[2048];
  snprintf(line, sizeof line, "exec $MESON_EXE_WRAPPER '%s' run '%s' -p Hello --quiet -n 2 >&-",
           run_gust_binary(), run_gust_demo("q4"));
  const char *argv[] = {"/bin/sh", "-c", line, NULL};
  run_result result = run_program(argv, "", 0);
  CHECK_EQ_INT(result.code, 1);
  CHECK_EQ_STR(result.err, "gust run: standard output: cannot write: Bad file descriptor\n");
  run_result_clear(&result);
}

/* At a terminal whose stdout goes elsewhere: progress of the prompt and, since
 * nothing is streamed, of the answer; none of it in the result. Both take so long that
 * progress shows on any machine; Ctrl-C ends what is left of the answer. */
static void test_progress(void) {
  char line[2048], prompt[2000] = "";
  const char *out = check_temp_file("progress.json"), *in = check_temp_file("prompt.txt");
  while (strlen(prompt) < 1500) strcat(prompt, "The little boat sailed. ");
  check_write_file(in, prompt, strlen(prompt));
  snprintf(line, sizeof line,
           "exec $MESON_EXE_WRAPPER '%s' run '%s' --json --cpu c --threads 1 --temp 5 --top-k 0 "
           "--top-p 1 -n 600 --seed 3 <'%s' >'%s'",
           run_gust_binary(), run_gust_demo("f32"), in, out);
  const char *argv[] = {"/bin/sh", "-c", line, NULL};
  run_terminal *terminal = run_terminal_start(argv);
  CHECK(run_terminal_expect(terminal, "reading the prompt ", 60));
  CHECK(run_terminal_expect(terminal, " t/s  ETA ", 60));
  CHECK(run_terminal_expect(terminal, "answering ", 60));
  CHECK(run_terminal_expect(terminal, " t/s  ETA ", 60));
  run_terminal_interrupt(terminal);
  CHECK_EQ_INT(run_terminal_finish(terminal), 128 + RUN_INTERRUPT);
  char *json = check_read_file(out, NULL);
  CHECK(json[0] == '{' && strstr(json, "ETA") == NULL);
  free(json);
}
#endif

/* Ctrl-C: the result so far, marked as what it is. */
static void test_interrupted(void) {
  const char *argv[] = {run_gust_binary(),
                        "run",
                        run_gust_demo("f32"),
                        "--json",
                        "--quiet",
                        "-p",
                        "Tell",
                        "--temp",
                        "5",
                        "--top-k",
                        "0",
                        "--top-p",
                        "1",
                        "--seed",
                        "1",
                        "-n",
                        "2000",
                        "--cpu",
                        "c",
                        "--threads",
                        "1",
                        NULL};
  run_result result = run_program_signalled(argv, 2000, RUN_INTERRUPT);
  CHECK_EQ_INT(result.code, 128 + RUN_INTERRUPT);
  CHECK_EQ_STR(result.err, "");
  CHECK_CONTAINS(result.out, "\"finish\": \"interrupted\",\n");
  CHECK(result.out_bytes > 2 && strcmp(result.out + result.out_bytes - 2, "}\n") == 0);
  run_result_clear(&result);
}

int main(void) {
  run_gust_binary();
  test_stop();
  test_misuse();
  test_logprobs();
  test_logprob_texts();
  test_rendered_by_name();
  test_template_option();
  test_no_template();
  test_garbage();
  test_closed_output();
  test_progress();
  test_interrupted();
  return check_finish();
}
