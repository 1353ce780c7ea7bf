/* Every command from outside: results, exact words of failures, exit codes. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "cli/model_options.h"
#include "format.h"
#include "host.h"
#include "os.h"
#include "run_gust.h"

/* The number after "name": in a JSON text; NaN when there is none. */
static double json_number(const char *json, const char *name) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\": ", name);
  const char *at = strstr(json, key);
  char *end = NULL;
  double value = at ? strtod(at + strlen(key), &end) : (double)NAN;
  return at && end > at + strlen(key) ? value : (double)NAN;
}

static bool is_one_line(const char *text) {
  const char *end = strchr(text, '\n');
  return end && end > text && end[1] == 0;
}

/* "PREFIX<path>SUFFIX", valid until the next call but two. */
static const char *with_path(const char *prefix, const char *path, const char *suffix) {
  static char lines[3][1024];
  static unsigned next;
  char *line = lines[next++ % 3];
  snprintf(line, sizeof *lines, "%s%s%s", prefix, path, suffix);
  return line;
}

/* --- gust itself ------------------------------------------------------------------ */

static void test_main(void) {
  CHECK_GUST(0, "gust 0.1.0\n", "", NULL, "--version");
  CHECK_GUST(0, "gust 0.1.0\n", "", NULL, "inspect", "--version");
  CHECK_GUST(2, "", "gust: expected a command; 'gust --help' lists them\n", NULL);
  CHECK_GUST(2, "", "gust: unknown command 'sing'; 'gust --help' lists them\n", NULL, "sing");
  CHECK_GUST(2, "", "gust: unknown command 'sing'; 'gust --help' lists them\n", NULL, "help",
             "sing");
  CHECK_GUST(2, "", "gust: unknown command '?[31m'; 'gust --help' lists them\n", NULL, "\033[31m");
  run_result help = run_gust(NULL, "--help", (const char *)NULL);
  CHECK_EQ_INT(help.code, 0);
  CHECK_EQ_STR(help.err, "");
  CHECK_CONTAINS(help.out, "2 wrong usage, 128 + N\nended by signal N (130: Ctrl-C; 141: ");
  static const char *const names[] = {"convert", "chat", "run",     "tokenize",
                                      "logits",  "eval", "inspect", "verify"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char line[32];
    snprintf(line, sizeof line, "\n  %s ", names[i]);
    CHECK_CONTAINS(help.out, line);
    run_result of_command = run_gust(NULL, names[i], "--help", (const char *)NULL);
    run_result asked = run_gust(NULL, "help", names[i], (const char *)NULL);
    CHECK_EQ_INT(of_command.code, 0);
    CHECK_EQ_STR(asked.out, of_command.out);
    snprintf(line, sizeof line, "usage: gust %s ", names[i]);
    CHECK(strncmp(of_command.out, line, strlen(line)) == 0);
    run_result_clear(&of_command);
    run_result_clear(&asked);
    CHECK_GUST(2, "", NULL, NULL, names[i]); /* the operand is missing */
    CHECK_GUST(2, "", NULL, NULL, names[i], "x", "--no-such-option");
  }
  run_result_clear(&help);
}

/* --- convert, inspect, verify -------------------------------------------------------- */

static void test_convert(void) {
  const char *target = check_temp_file("converted.gust");
  run_result result = run_gust(NULL, "convert", check_demo(), "-o", target, (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err, ""); /* no progress where nobody watches */
  CHECK_CONTAINS(result.out, "type    tensors");
  CHECK_CONTAINS(result.out, "\nq4 ");
  CHECK_CONTAINS(result.out, "\nq8 ");
  CHECK_CONTAINS(result.out, "\nf32 ");
  CHECK_CONTAINS(result.out, "rms error");
  CHECK_CONTAINS(result.out, with_path("\n", target, ": "));
  run_result_clear(&result);

  result = run_gust(NULL, "convert", check_demo(), "-o", target, "--type", "q8", "--json",
                    "--threads", "1", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  size_t bytes = 0;
  free(check_read_file(target, &bytes));
  CHECK_EQ_INT(json_number(result.out, "file_bytes"), bytes);
  double bits = json_number(result.out, "bits_per_weight");
  CHECK(bits > 8 && bits < 9);
  CHECK_CONTAINS(result.out, "\"tensors\": [\n");
  CHECK_CONTAINS(result.out,
                 "{\"name\": \"model.embed_tokens.weight\", \"type\": \"q8\", "
                 "\"shape\": [4096, 256], ");
  run_result_clear(&result);

  CHECK_GUST(2, "", "gust convert: --type: expected " GUST_TYPE_NAMES ", found 'q5'\n", NULL,
             "convert", check_demo(), "--type", "q5");
  CHECK_GUST(2, "", "gust convert: '..' gives the file no name; give one with -o FILE\n", NULL,
             "convert", "..");
  CHECK_GUST(2, "", "gust convert: --against-chunks goes with --against-source; give both\n", NULL,
             "convert", check_demo(), "-o", target, "--against-chunks", "3");
  CHECK_GUST(1, "",
             "gust convert: --target-bits: expected 4.278 (all q4) to 8.278 (all q8) for this "
             "checkpoint, found 9.000\n",
             NULL, "convert", check_demo(), "-o", target, "--target-bits", "9");
  result = run_gust(NULL, "convert", check_demo(), "-o", target, "--target-bits", "7", "--quiet",
                    (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_CONTAINS(result.out, "\ntarget bits            6.996 of at most 7, over the q4 and q8 ");
  run_result_clear(&result);
  result = run_gust(NULL, "convert", check_demo(), "-o", target, "--target-bits", "7", "--json",
                    "--quiet", (const char *)NULL);
  CHECK_EQ_INT(json_number(result.out, "target_bits"), 7);
  CHECK(fabs(json_number(result.out, "quantized_bits_per_weight") - 6.996) < 5e-4);
  run_result_clear(&result);
  result = run_gust(NULL, "convert", check_demo(), "-o", target, "--type", "q8", "--json",
                    (const char *)NULL);
  CHECK(!strstr(result.out, "target_bits"));
  run_result_clear(&result);
  CHECK_GUST(2, "",
             "gust convert: -o: expected the name of a file, found '-'; a .gust file cannot be "
             "written to standard output: give it a name\n",
             NULL, "convert", check_demo(), "-o", "-");
  CHECK(!host_exists("-"));
  CHECK_GUST(1, "",
             with_path("gust convert: ", check_temp(),
                       ": expected a regular file or a new name, found a folder, device or pipe; "
                       "give another name\n"),
             NULL, "convert", check_demo(), "-o", check_temp());
  result = run_gust(NULL, "convert", check_temp_file("nowhere"), "-o", target, (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  CHECK(is_one_line(result.err));
  CHECK_CONTAINS(result.err, with_path("gust convert: ", check_temp_file("nowhere"), ""));
  run_result_clear(&result);
  size_t after = 0;
  free(check_read_file(target, &after));
  CHECK_EQ_INT(after, bytes); /* a failure leaves what was there */
}

static void test_inspect(void) {
  const char *model = run_gust_demo("q4");
  run_result result = run_gust(NULL, "inspect", model, (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err, "");
  CHECK_CONTAINS(result.out, "\narchitecture           mistral\n");
  CHECK_CONTAINS(result.out, "\nvocabulary             4,096\n");
  CHECK_CONTAINS(result.out, "\nsliding window         512\n");
  CHECK_CONTAINS(result.out, "\nchat template          yes\n");
  CHECK_CONTAINS(result.out, "\nlongest answer         512\n");
  CHECK_CONTAINS(result.out, "\nmodel.layers.7.self_attn.v_proj.weight           q8 ");
  CHECK_CONTAINS(result.out, "\nmodel-00001-of-00002.safetensors");
  run_result_clear(&result);
  result = run_gust(NULL, "inspect", model, "--json", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  size_t bytes = 0;
  free(check_read_file(model, &bytes));
  CHECK_EQ_INT(json_number(result.out, "file_bytes"), bytes);
  CHECK_EQ_INT(json_number(result.out, "vocab_size"), 4096);
  CHECK_EQ_INT(json_number(result.out, "kv_heads"), 2);
  CHECK_EQ_INT(json_number(result.out, "rope_theta"), 10000);
  CHECK_EQ_INT(json_number(result.out, "max_new_tokens"), 512);
  double bits = json_number(result.out, "bits_per_weight");
  CHECK(bits > 4 && bits < 7);
  CHECK_CONTAINS(result.out, "\"eos_ids\": [2]");
  CHECK_CONTAINS(result.out,
                 "{\"name\": \"model.layers.0.mlp.up_proj.weight\", \"type\": \"q4\", "
                 "\"shape\": [768, 256], \"offset\": ");
  run_result_clear(&result);
}

/* What the README says of the demo model is what inspect says of its files. */
static void test_readme_bits(void) {
  char *readme = check_read_file("README.md", NULL), words[128];
  static const char *const types[] = {"q4", "q8"};
  for (size_t i = 0; i < 2; i++) {
    run_result result =
        run_gust(NULL, "inspect", run_gust_demo(types[i]), "--json", (const char *)NULL);
    const char *types_begin = strstr(result.out, "\"types\"");
    char name[32];
    snprintf(name, sizeof name, "\"type\": \"%s\"", types[i]);
    const char *own = types_begin ? strstr(types_begin, name) : NULL;
    if (CHECK(own != NULL)) {
      snprintf(words, sizeof words,
               "%.2f bits per weight in its %s tensors, %.2f in the whole file",
               json_number(own, "bits_per_weight"), types[i],
               json_number(result.out, "bits_per_weight"));
      CHECK_CONTAINS(readme, words);
    }
    run_result_clear(&result);
  }
  free(readme);
}

static void test_verify(void) {
  const char *model = run_gust_demo("q4"), *damaged = check_temp_file("damaged.gust");
  size_t bytes = 0;
  char *data = check_read_file(model, &bytes);
  char line[96];
  snprintf(line, sizeof line, "ok: 75 tensors, %zu bytes\nok: logits hash ", bytes);
  run_result result =
      run_gust(NULL, "verify", model, "--cpu", "c", "--threads", "1", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err, "");
  CHECK(strncmp(result.out, line, strlen(line)) == 0);
  CHECK_CONTAINS(result.out, " on level c with 1 thread\n");
  run_result_clear(&result);
  data[bytes - 1 - bytes / 3] ^= 1;
  check_write_file(damaged, data, bytes);
  result = run_gust(NULL, "verify", damaged, (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  CHECK_EQ_STR(result.out, "");
  CHECK(is_one_line(result.err));
  CHECK_CONTAINS(result.err, with_path("gust verify: ", damaged, ": tensor model."));
  run_result_clear(&result);
  check_write_file(damaged, data, bytes / 2);
  static const char *const commands[] = {"verify", "inspect", "tokenize", "chat"};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    result = run_gust("", commands[i], damaged, (const char *)NULL);
    CHECK_EQ_INT(result.code, 1);
    CHECK_EQ_STR(result.out, "");
    CHECK(is_one_line(result.err));
    CHECK_CONTAINS(result.err, damaged);
    run_result_clear(&result);
  }
  free(data);
}

/* --- tokenize, logits, eval -------------------------------------------------------------- */

static void test_tokenize(void) {
  const char *model = run_gust_demo("q4");
  CHECK_GUST(0,
             "1 303 364 302 13 4027 421 423 261 453 472 261 1761 269 261 1142 4017 2 4001 13 "
             "4029 4025 363 302 13\n",
             "", "<|user|>\nTell me a story about a dragon and a boat.</s>\n<|assistant|>\n",
             "tokenize", model);
  CHECK_GUST(0, "\n", "", "", "tokenize", model, "--no-bos");
  CHECK_GUST(0, "{\"tokens\": 1, \"ids\": [1]}\n", "", "", "tokenize", model, "--json");
}

static uint32_t read_u32(const char *data) {
  uint32_t value = 0;
  for (int k = 0; k < 4; k++) value |= (uint32_t)(unsigned char)data[k] << (8 * k);
  return value;
}

static float read_f32(const char *data) {
  uint32_t bits = read_u32(data);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* A model of another shape than the demo's, in a file NAME.gust; with fewer layers than
 * maker_small's when `layers` says so. */
static const char *small_model(const char *name, unsigned layers) {
  char file[64], beyond[64];
  snprintf(file, sizeof file, "%s.gust", name);
  snprintf(beyond, sizeof beyond, "model.layers.%u.", layers);
  maker_model m = maker_small(false, true);
  maker_model kept = m;
  kept.layers = layers;
  kept.tensors = malloc(m.tensor_count * sizeof *m.tensors);
  if (!kept.tensors) check_fatal("out of memory", name);
  kept.tensor_count = 0;
  for (size_t i = 0; i < m.tensor_count; i++)
    if (strncmp(m.tensors[i].name, beyond, strlen(beyond)) != 0)
      kept.tensors[kept.tensor_count++] = m.tensors[i];
  maker_write(&kept, check_temp_file(name), "BF16", 1);
  const char *path = check_temp_file(file);
  CHECK_GUST(0, NULL, "", NULL, "convert", check_temp_file(name), "-o", path, "--quiet");
  free(kept.tensors);
  maker_free(&m);
  return path;
}

static void test_logits(void) {
  const char *model = run_gust_demo("f32"), *ids = check_temp_file("ids.txt");
  const char *out = check_temp_file("out.f32"), *again = check_temp_file("again.f32");
  check_write_file(ids, "1 303\n\t364\r\n302", 15);
  CHECK_GUST(0, "", "", NULL, "logits", model, ids, "-o", out, "--kv", "f32", "--quiet");
  size_t bytes = 0, other = 0;
  char *data = check_read_file(out, &bytes);
  if (CHECK_EQ_INT(bytes, 4 * 4096 * 4)) {
    /* The first position of the goldens; their other numbers are compared
     * by the tests of the model. */
    CHECK(fabs((double)read_f32(data + 4 * 303) - 12.45614) < 2e-4);
    CHECK(fabs((double)read_f32(data + 4 * 466) - 7.75441) < 2e-4);
  }
  /* The way of running changes no bit; '-' is standard input. */
  CHECK_GUST(0, "", "", "1 303 364 302", "logits", model, "-", "-o", again, "--kv", "f32", "--cpu",
             "c", "--threads", "3", "--load", "mmap", "--quiet");
  char *same = check_read_file(again, &other);
  CHECK(other == bytes && memcmp(data, same, bytes) == 0);
  free(same);
  run_result piped = run_gust("1 303 364 302", "logits", model, "-", "-o", "-", "--kv", "f32",
                              "--quiet", (const char *)NULL);
  CHECK_EQ_INT(piped.code, 0);
  CHECK_EQ_STR(piped.err, "");
  CHECK(piped.out_bytes == bytes && memcmp(data, piped.out, bytes) == 0);
  CHECK(!host_exists("-"));
  run_result_clear(&piped);
  free(data);

  /* More ids than the model was trained for: a warning that says what follows. */
  const char *small = small_model("beyond", 1);
  char many[256] = "";
  for (int i = 0; i < 70; i++) strcat(many, "1 ");
  CHECK_GUST(0, "",
             "gust logits: note: 70 positions are more than the 64 the model was trained for; past "
             "those it may predict badly\n",
             many, "logits", small, "-", "-o", again, "--load", "mmap");

  check_write_file(ids, "1 2\n3 4096", 10);
  CHECK_GUST(
      1, "",
      with_path("gust logits: ", ids, ": line 2: expected an id from 0 to 4095, found '4096'\n"),
      NULL, "logits", model, ids, "-o", out, "--quiet");
  check_write_file(ids, "1 -2", 4);
  CHECK_GUST(
      1, "",
      with_path("gust logits: ", ids, ": line 1: expected an id from 0 to 4095, found '-2'\n"),
      NULL, "logits", model, ids, "-o", out, "--quiet");
  check_write_file(ids, " \n", 2);
  CHECK_GUST(
      1, "",
      with_path("gust logits: ", ids, ": expected ids separated by white space, found none\n"),
      NULL, "logits", model, ids, "-o", out, "--quiet");
  CHECK_GUST(2, "",
             "gust logits: -o FILE is missing; usage: gust logits MODEL IDS_FILE -o FILE "
             "[options]\n",
             NULL, "logits", model, ids);
  const char *nowhere = check_temp_file("no/such/folder.f32");
  CHECK_GUST(1, "",
             with_path("gust logits: ", nowhere, ": cannot create: No such file or directory\n"),
             NULL, "logits", "no/such/model.gust", ids, "-o", nowhere, "--quiet");
  data = check_read_file(out, &other);
  CHECK_EQ_INT(other, bytes); /* failures left it whole */
  free(data);
}

/* Bytes that nobody can read are not sent to a terminal. */
static void test_logits_at_terminal(void) {
  const char *argv[] = {run_gust_binary(),
                        "logits",
                        run_gust_demo("q4"),
                        check_temp_file("ids.txt"),
                        "-o",
                        "-",
                        NULL};
  run_terminal *terminal = run_terminal_start(argv);
  CHECK(run_terminal_expect(terminal,
                            "gust logits: -o -: expected a file or a pipe on standard output, "
                            "found a terminal",
                            60));
  CHECK_EQ_INT(run_terminal_finish(terminal), 2);
}

/* What --against and --chunks ask for that is not there. */
static void test_eval_limits(void) {
  const char *model = run_gust_demo("q4"), *text = check_data("heldout.txt");
  const char *two = small_model("two", 2), *one = small_model("one", 1);
  char line[1024];
  snprintf(line, sizeof line,
           "gust eval: %s: vocab_size: expected 4096 as in %s, found 300; give a file converted "
           "from the same checkpoint\n",
           two, model);
  CHECK_GUST(1, "", line, NULL, "eval", model, "--against", two, "--text", text, "--quiet");
  snprintf(line, sizeof line,
           "gust eval: %s: layers: expected 2 as in %s, found 1; give a file converted from the "
           "same checkpoint\n",
           one, two);
  CHECK_GUST(1, "", line, NULL, "eval", two, "--against", one, "--text", text, "--quiet");

  /* Ten bytes and a prefix, of which the small models make an id each. */
  const char *brief = check_temp_file("brief.txt");
  check_write_file(brief, "0123456789", 10);
  CHECK_GUST(0, NULL, "gust eval: note: --chunks 9: the text has only 2; all of them are scored\n",
             NULL, "eval", two, "--text", brief, "--ctx", "4", "--chunks", "9", "--load", "mmap");
  CHECK_GUST(0, NULL, "", NULL, "eval", two, "--text", brief, "--ctx", "4", "--chunks", "2",
             "--load", "mmap");
  CHECK_GUST(0, NULL, "", NULL, "eval", two, "--text", brief, "--ctx", "4", "--chunks", "9",
             "--quiet");
}

static void test_eval(void) {
  const char *reference = run_gust_demo("f32"), *model = run_gust_demo("q4");
  const char *text = check_data("heldout.txt");
  run_result result = run_gust(NULL, "eval", model, "--text", text, "--chunks", "2", "--json",
                               "--quiet", "--against", reference, (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_STR(result.err, "");
  CHECK_EQ_INT(json_number(result.out, "tokens"), 2 * 255);
  double nll = json_number(result.out, "nll"), mean = json_number(result.out, "kl_mean");
  double median = json_number(result.out, "kl_median"), p99 = json_number(result.out, "kl_p99");
  CHECK(nll > 1 && nll < 4);
  CHECK(fabs(json_number(result.out, "ppl") - exp(nll)) < 1e-9);
  CHECK(mean > 0 && mean < 0.05);
  CHECK(median > 0 && median < mean && p99 > mean);
  CHECK(json_number(result.out, "top1_agree") > 0.8);
  run_result_clear(&result);

  result = run_gust(NULL, "eval", reference, "--text", text, "--chunks", "1", "--ctx", "64",
                    "--quiet", "--against", reference, (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_CONTAINS(result.out, "tokens scored  31, in 1 chunk of 64\n");
  CHECK_CONTAINS(result.out, "KL mean        0.000000 nats\n");
  CHECK_CONTAINS(result.out, "top-1 agree    100.00 %\n");
  run_result_clear(&result);

  const char *shorter = check_temp_file("short.txt");
  check_write_file(shorter, "Once", 4);
  result = run_gust(NULL, "eval", model, "--text", shorter, "--quiet", (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  CHECK_CONTAINS(result.err, with_path("gust eval: ", shorter,
                                       ": expected at least one chunk of 512 tokens, found "));
  run_result_clear(&result);
  CHECK_GUST(2, "", NULL, NULL, "eval", model);
  CHECK_GUST(2, "", "gust eval: --ctx: expected a whole number from 4 to 16777216, found '3'\n",
             NULL, "eval", model, "--text", text, "--ctx", "3");
}

/* --- run ------------------------------------------------------------------------------------ */

static const char who_answer[] =
    "I am the demo model of gust, a tiny language model with about eight million parameters. I can "
    "tell short stories and chat a little.\n";

static void test_run(void) {
  const char *model = run_gust_demo("f32");
  CHECK_GUST(0, who_answer, "", "Who are you?\n", "run", model, "--temp", "0", "--quiet");
  CHECK_GUST(0, who_answer, "", NULL, "run", model, "--temp=0", "-p", "Who are you?", "--quiet",
             "--kv", "f32", "--load", "mmap", "--threads", "2");
  CHECK_GUST(0, "The only thing I'm committed to is being a great friend.\n", "", NULL, "run",
             model, "--temp", "0", "--quiet", "--system",
             "You are a friendly chatbot who always responds in the style of a pirate", "-p",
             "How many helicopters can a human eat in one sitting?");
  CHECK_GUST(0, "I am the\n", "", NULL, "run", model, "--temp", "0", "-p", "Who are you?", "-n",
             "3", "--quiet");
  /* Continuations keep the space they begin with. */
  run_result result = run_gust("Once upon a time, there was a little", "run", model, "--raw",
                               "--temp", "0", "-n", "4", "--quiet", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK(result.out[0] == ' ' && result.out[1] != ' ');
  run_result_clear(&result);
  result = run_gust("Hello", "run", model, "-n", "1", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK(is_one_line(result.err));
  CHECK_CONTAINS(result.err, "gust run: --load auto: ");
  run_result_clear(&result);
}

static void test_run_json(void) {
  const char *model = run_gust_demo("f32");
  char *golden = check_read_file(check_data("golden.json"), NULL);
  run_result result = run_gust(
      NULL, "run", model, "-p", "Tell me a story about a dragon and a boat.", "--temp", "0", "-n",
      "96", "--kv", "f32", "--json", "--quiet", "--seed", "7", (const char *)NULL);
  CHECK_EQ_INT(result.code, 0);
  CHECK_EQ_INT(json_number(result.out, "prompt_tokens"), 25);
  CHECK_EQ_INT(json_number(result.out, "tokens"), 96);
  CHECK_EQ_INT(json_number(result.out, "seed"), 7);
  CHECK(json_number(result.out, "decode_tps") > 0);
  CHECK_CONTAINS(result.out, "\"finish\": \"limit\"");
  CHECK_CONTAINS(result.out, "\"kv\": \"f32\"");
  /* The goldens are spelled as this JSON is, so the lists compare as text. */
  char *ids = strstr(result.out, "[");
  if (CHECK(ids != NULL)) {
    *strchr(ids, ']') = 0;
    CHECK_CONTAINS(golden, ids);
  }
  free(golden);
  run_result_clear(&result);
}

static void test_run_seed(void) {
  const char *model = run_gust_demo("q4");
  run_result first = run_gust("Tell me a story.", "run", model, "--seed", "42", "--quiet", "--temp",
                              "1.5", "-n", "40", (const char *)NULL);
  run_result second =
      run_gust("Tell me a story.", "run", model, "--seed", "42", "--quiet", "--temp", "1.5", "-n",
               "40", "--threads", "1", "--cpu", "c", (const char *)NULL);
  run_result other = run_gust("Tell me a story.", "run", model, "--seed", "43", "--quiet", "--temp",
                              "1.5", "-n", "40", (const char *)NULL);
  CHECK_EQ_INT(first.code, 0);
  CHECK_EQ_STR(first.out, second.out);
  CHECK(strcmp(first.out, other.out) != 0);
  run_result_clear(&first);
  run_result_clear(&second);
  run_result_clear(&other);
  first = run_gust("Hello!", "run", model, "-n", "1", "--json", (const char *)NULL);
  second = run_gust("Hello!", "run", model, "-n", "1", "--json", (const char *)NULL);
  CHECK(json_number(first.out, "seed") != json_number(second.out, "seed"));
  run_result_clear(&first);
  run_result_clear(&second);
}

static void test_run_failures(void) {
  const char *model = run_gust_demo("q4"), *missing = check_temp_file("missing.gust");
  run_result result = run_gust("Hello!", "run", missing, (const char *)NULL);
  CHECK_EQ_INT(result.code, 1);
  CHECK(is_one_line(result.err));
  CHECK_CONTAINS(result.err, with_path("gust run: ", missing, ""));
  run_result_clear(&result);
  CHECK_GUST(2, "", "gust run: --temp: expected a number from 0 to 100, found 'x'\n", "a", "run",
             model, "--temp", "x");
  CHECK_GUST(2, "", "gust run: --raw and --system exclude each other\n", "a", "run", model, "--raw",
             "--system", "b");
  CHECK_GUST(2, "", "gust run: --kv: expected f16, f32 or q8, found 'q4'\n", "a", "run", model,
             "--kv", "q4");
  char levels[128], line[256];
  options_spell_choices(CPU_LEVELS, levels, sizeof levels);
  host_set_env("GUST_CPU", "z80");
  snprintf(line, sizeof line, "gust run: environment variable GUST_CPU: expected %s, found 'z80'\n",
           levels);
  CHECK_GUST(2, "", line, "a", "run", model);
  CHECK_GUST(0, NULL, "", "a", "run", model, "--cpu", "c", "-n", "1", "--quiet"); /* it wins */
  host_set_env("GUST_CPU", "c");
  result = run_gust("a", "run", model, "-n", "1", "--json", (const char *)NULL);
  CHECK_CONTAINS(result.out, "\"cpu\": \"c\"");
  run_result_clear(&result);
  host_set_env("GUST_CPU", NULL);
}

/* A level of another architecture is a mistake; one this processor lacks is said to be
 * missing, and results name the one that ran. */
static void test_levels(void) {
  const char *model = run_gust_demo("q4");
#if defined(__x86_64__)
  const char *foreign = "neon", *best = "amx";
#elif defined(__aarch64__)
  const char *foreign = "avx2", *best = "i8mm";
#else
  const char *foreign = "avx2", *best = "c";
#endif
  char levels[128], line[256], note[256];
  options_spell_choices(CPU_LEVELS, levels, sizeof levels);
  snprintf(line, sizeof line, "gust verify: --cpu: expected %s, found '%s'\n", levels, foreign);
  CHECK_GUST(2, "", line, NULL, "verify", model, "--cpu", foreign);
  host_set_env("GUST_CPU", foreign);
  snprintf(line, sizeof line,
           "gust verify: environment variable GUST_CPU: expected %s, found '%s'\n", levels,
           foreign);
  CHECK_GUST(2, "", line, NULL, "verify", model);
  host_set_env("GUST_CPU", best);

  const char *level, *last = "c";
  for (size_t i = 0; (level = gust_cpu_level(i)) != NULL; i++) last = level;
  bool there = strcmp(last, best) == 0;
  snprintf(line, sizeof line, " on level %s with 1 thread\n", last);
  snprintf(note, sizeof note, ": this processor or build lacks %s; %s runs instead\n", best, last);
  run_result r = run_gust(NULL, "verify", model, "--threads", "1", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK_CONTAINS(r.out, line);
  CHECK_EQ_STR(
      r.err, there ? "" : with_path("gust verify: note: environment variable GUST_CPU", note, ""));
  run_result_clear(&r);
  host_set_env("GUST_CPU", NULL);
  CHECK_GUST(0, NULL, there ? "" : with_path("gust verify: note: --cpu", note, ""), NULL, "verify",
             model, "--cpu", best);
  CHECK_GUST(0, NULL, "", NULL, "verify", model, "--cpu", best, "--quiet");
  if (there) check_part_skipped("a level that is missing", "this processor has them all");
}

/* What goes by the model's name and is no model. */
static void test_no_model(void) {
  char line[2048];
  const char *commands[] = {"run", "chat", "inspect"};
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    snprintf(line, sizeof line,
             "gust %s: %s: expected a .gust file, found a checkpoint's folder; make one with: gust "
             "convert %s\n",
             commands[i], check_demo(), check_demo());
    CHECK_GUST(1, "", line, "a", commands[i], check_demo());
  }
  CHECK_GUST(1, "",
             with_path("gust run: ", check_temp(),
                       ": expected a .gust file, found a folder; give the file\n"),
             "a", "run", check_temp());
  CHECK_GUST(1, "", with_path("gust eval: ", check_temp(), ": expected a file, found a folder\n"),
             NULL, "eval", run_gust_demo("q4"), "--text", check_temp());
  CHECK_GUST(1, "",
             with_path("gust run: ", host_null_device(),
                       ": expected a .gust file, found a device or pipe; give the file's name\n"),
             "a", "run", host_null_device());
}

/* What the model is not needed for is said before it is looked for. */
static void test_before_loading(void) {
  const char *none = check_temp_file("no-model.gust"), *ids = check_temp_file("no-ids.txt");
  CHECK_GUST(1, "", with_path("gust logits: ", ids, ": cannot open: No such file or directory\n"),
             NULL, "logits", none, ids, "-o", check_temp_file("none.f32"));
  CHECK_GUST(1, "",
             "gust run: standard input: expected text in UTF-8, found byte 0xff at offset 1\n",
             "a\xff", "run", none);
  CHECK_GUST(1, "",
             "gust chat: --session: expected a name of 1 to 200 characters that does not begin "
             "with a dot, or a path with a slash, found \"\"\n",
             NULL, "chat", none, "--session", "");
  const char *foreign = check_temp_file("foreign.session");
  check_write_file(foreign, "What is this?", 13);
  CHECK_GUST(1, "",
             with_path("gust chat: ", foreign,
                       ": this is no session of gust chat: too short; it is left as it is: give "
                       "another --session\n"),
             NULL, "chat", none, "--session", foreign);
  const char *held = check_temp_file("held.session");
  uint64_t bytes;
  bool busy;
  check_write_file(held, "", 0);
  os_file lock = os_open_update(held, &bytes);
  CHECK(lock != -1 && os_lock(lock, &busy));
  CHECK_GUST(1, "",
             with_path("gust chat: ", held,
                       ": another chat has this session open; end that one or give another "
                       "--session\n"),
             NULL, "chat", none, "--session", held);
  os_close(lock);
  /* A session that was only looked for is not begun. */
  const char *fresh = check_temp_file("fresh.session");
  CHECK_GUST(1, "",
             with_path("gust chat: ", none,
                       ": cannot open: No such file or directory; expected a .gust file\n"),
             NULL, "chat", none, "--session", fresh);
  CHECK(!host_exists(fresh));
}

static void test_prompts(void) {
  const char *model = run_gust_demo("q4");
  static const char nothing[] =
      "gust run: expected a prompt, found none on standard input; give -p TEXT or pipe it in\n";
  CHECK_GUST(1, "", nothing, "", "run", model, "--quiet");
  CHECK_GUST(1, "", nothing, "\n", "run", model, "--quiet");
  CHECK_GUST(2, "", "gust run: -p: expected a prompt, found none; give some text\n", NULL, "run",
             model, "--quiet", "-p", "");
  CHECK_GUST(0, NULL, "", NULL, "run", model, "--quiet", "--raw", "-p", "", "-n", "1");
  CHECK_GUST(1, "",
             "gust run: the prompt: expected at most 2 tokens, as many as the context holds, found "
             "17; shorten it or give a larger --ctx\n",
             NULL, "run", model, "--quiet", "--ctx", "2", "-p", "Who are you?");
#ifndef _WIN32 /* where arguments are UTF-16 */
  CHECK_GUST(2, "", "gust run: --stop: expected text in UTF-8, found byte 0xff at offset 0\n", "a",
             "run", model, "--stop", "x", "--stop", "\xff");
#endif
}

/* An output nobody takes ends a command as SIGPIPE would, without a word. On Windows there
 * is no such signal, and the C library drops what it could not write, so that later no more
 * than that is known. */
static void check_lost_output(const char *const argv[], const char *input) {
  run_result result = run_program_to(argv, input, NULL);
#ifdef _WIN32
  char now[80], earlier[80];
  snprintf(now, sizeof now, "gust %s: standard output: cannot write: Broken pipe\n", argv[1]);
  snprintf(earlier, sizeof earlier,
           "gust %s: standard output: cannot write: an earlier write failed\n", argv[1]);
  CHECK_EQ_INT(result.code, 1);
  if (strcmp(result.err, earlier) != 0) CHECK_EQ_STR(result.err, now);
#else
  CHECK_EQ_INT(result.code, 128 + 13);
  CHECK_EQ_STR(result.err, "");
#endif
  run_result_clear(&result);
}

static void test_lost_output(void) {
  const char *model = run_gust_demo("q4"), *gust = run_gust_binary();
  const char *run[] = {gust, "run", model, "--quiet", "-p", "Hello!", NULL};
  const char *chat[] = {gust, "chat", model, "--quiet", NULL};
  const char *inspect[] = {gust, "inspect", model, "--json", NULL};
  const char *logits[] = {gust, "logits", model, "-", "-o", "-", "--quiet", NULL};
  check_lost_output(run, "");
  check_lost_output(chat, "Hello!\nWho are you?\n");
  check_lost_output(inspect, "");
  check_lost_output(logits, "1 2 3");
  if (!host_full_file()) {
    check_part_skipped("an answer to a full disk", "there is no file to stand in for one");
    return;
  }
  run_result result = run_program_to(run, "", host_full_file());
  CHECK_EQ_INT(result.code, 1);
  CHECK_EQ_STR(result.err, "gust run: standard output: cannot write: No space left on device\n");
  run_result_clear(&result);
}

/* --- signals ---------------------------------------------------------------------------------- */

static void test_interrupts(void) {
  const char *model = run_gust_demo("f32"), *text = check_data("heldout.txt");
  const char *eval[] = {run_gust_binary(), "eval", model,       "--text", text, "--quiet",
                        "--cpu",           "c",    "--threads", "1",      NULL};
  run_result result = run_program_signalled(eval, 1000, RUN_INTERRUPT);
  CHECK_EQ_INT(result.code, 128 + RUN_INTERRUPT);
  CHECK_EQ_STR(result.out, "");
  CHECK(is_one_line(result.err));
  CHECK_CONTAINS(result.err, "gust eval: evaluating was cancelled after ");
  run_result_clear(&result);
  const char *ids = check_temp_file("many.txt"), *out = check_temp_file("many.f32");
  char many[2 * 2000];
  for (size_t i = 0; i < sizeof many; i++) many[i] = i % 2 ? ' ' : '7';
  check_write_file(ids, many, sizeof many);
  const char *logits[] = {run_gust_binary(), "logits", model, ids,         "-o", out,
                          "--quiet",         "--cpu",  "c",   "--threads", "1",  NULL};
  result = run_program_signalled(logits, 1000, RUN_INTERRUPT);
  CHECK_EQ_INT(result.code, 128 + RUN_INTERRUPT);
  CHECK_CONTAINS(result.err, "gust logits: computing the logits was cancelled after ");
  CHECK_CONTAINS(result.err, " of 2000 tokens; nothing was written\n");
  CHECK(!host_exists(out));
  run_result_clear(&result);
  logits[5] = "-"; /* which has begun to be written */
  result = run_program_signalled(logits, 1000, RUN_INTERRUPT);
  CHECK_EQ_INT(result.code, 128 + RUN_INTERRUPT);
  CHECK(is_one_line(result.err));
  CHECK_CONTAINS(result.err, " of 2000 tokens\n");
  run_result_clear(&result);
  /* A long answer ends where it is, with a newline and without a word. */
  const char *run[] = {
      run_gust_binary(), "run", model,     "--quiet", "-p",      "Tell me a story.",
      "--temp",          "5",   "--top-k", "0",       "--top-p", "1",
      "--seed",          "1",   "-n",      "2000",    "--cpu",   "c",
      "--threads",       "1",   NULL};
  result = run_program_signalled(run, 1500, RUN_INTERRUPT);
  for (unsigned wait = 3000; result.out_bytes == 0 && wait < 200000; wait *= 2) {
    CHECK_EQ_INT(result.code, 128 + RUN_INTERRUPT); /* too early: it still read the prompt */
    run_result_clear(&result);
    result = run_program_signalled(run, wait, RUN_INTERRUPT);
  }
  CHECK_EQ_INT(result.code, 128 + RUN_INTERRUPT);
  CHECK_EQ_STR(result.err, "");
  CHECK(result.out_bytes > 1 && result.out[result.out_bytes - 1] == '\n');
  run_result_clear(&result);
}

int main(void) {
  run_gust_binary();
  test_main();
  test_inspect();
  test_readme_bits();
  test_verify();
  test_tokenize();
  test_logits();
  test_logits_at_terminal();
  test_eval_limits();
  test_run();
  test_run_json();
  test_run_seed();
  test_run_failures();
  test_levels();
  test_no_model();
  test_before_loading();
  test_prompts();
  test_lost_output();
  if (check_emulated()) {
    check_part_skipped("conversion, evaluation, interrupts", "an emulator takes minutes for them");
    return check_finish();
  }
  test_convert();
  test_eval();
  test_interrupts();
  return check_finish();
}
