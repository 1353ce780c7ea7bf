/* gust eval: every figure against one computed here from what `gust logits`
 * writes, with the C library's exp and log in long double; the worst tokens; the
 * picture. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/evaluation.h"
#include "demo_model.h"
#include "host.h"
#include "json_result.h"
#include "run_gust.h"
#include "xml_check.h"

#define CHUNK 64
#define CHUNKS 5
#define TOKENS (CHUNKS * PER_CHUNK)
enum { PER_CHUNK = CHUNK - 1 - CHUNK / 2 }; /* scored */
#define VOCAB 4096

/* What is expected of one token. */
typedef struct expected {
  size_t place;
  long double nll, reference_nll, kl, p_difference;
  int best, reference_best;
} expected;

/* --- the independent computation --------------------------------------------------- */

static float *logits_of(const char *model, const int32_t *ids) {
  const char *list = check_temp_file("ids.txt"), *out = check_temp_file("logits.f32");
  char text[CHUNK * 12];
  size_t at = 0, bytes;
  for (size_t i = 0; i + 1 < CHUNK; i++)
    at += (size_t)snprintf(text + at, sizeof text - at, "%d ", (int)ids[i]);
  check_write_file(list, text, at);
  CHECK_GUST(0, "", "", NULL, "logits", model, list, "-o", out, "--quiet");
  float *logits = (float *)(void *)check_read_file(out, &bytes);
  CHECK_EQ_INT(bytes, (CHUNK - 1) * VOCAB * sizeof(float));
  return logits;
}

static long double log_sum(const float *x, int *best) {
  *best = 0;
  for (int i = 1; i < VOCAB; i++)
    if (x[i] > x[*best]) *best = i;
  long double sum = 0;
  for (int i = 0; i < VOCAB; i++) sum += expl((long double)x[i] - (long double)x[*best]);
  return (long double)x[*best] + logl(sum);
}

static expected expect_token(const float *q, const float *p, int32_t next, size_t place) {
  expected e = {.place = place};
  long double of_q = log_sum(q, &e.best), of_p = log_sum(p, &e.reference_best);
  e.nll = of_q - (long double)q[next];
  e.reference_nll = of_p - (long double)p[next];
  e.p_difference = expl(-e.nll) - expl(-e.reference_nll);
  for (int i = 0; i < VOCAB; i++) {
    long double log_p = (long double)p[i] - of_p, log_q = (long double)q[i] - of_q;
    e.kl += expl(log_p) * (log_p - log_q);
  }
  return e;
}

static void expect_all(expected *all, const char *model, const char *reference,
                       const int32_t *ids) {
  for (size_t c = 0; c < CHUNKS; c++) {
    int32_t chunk[CHUNK];
    memcpy(chunk, ids + c * CHUNK, sizeof chunk);
    chunk[0] = 1; /* the demo model's begin-of-sequence id */
    float *q = logits_of(model, chunk), *p = logits_of(reference, chunk);
    for (size_t i = 0; i < PER_CHUNK; i++) {
      size_t position = CHUNK / 2 + i;
      all[c * PER_CHUNK + i] = expect_token(q + position * VOCAB, p + position * VOCAB,
                                            chunk[position + 1], c * CHUNK + position + 1);
    }
    free(q);
    free(p);
  }
}

/* Mean and standard error over the chunks' means, of one value of each token. */
typedef long double token_value(const expected *e);
static long double nll_of(const expected *e) {
  return e->nll;
}
static long double reference_nll_of(const expected *e) {
  return e->reference_nll;
}
static long double difference_of(const expected *e) {
  return e->nll - e->reference_nll;
}
static long double kl_of(const expected *e) {
  return e->kl;
}
static long double agreement_of(const expected *e) {
  return e->best == e->reference_best;
}
static long double square_of(const expected *e) {
  return e->p_difference * e->p_difference;
}

static void mean_of(const expected *all, token_value *value, long double *mean, long double *se) {
  long double means[CHUNKS] = {0}, squares = 0;
  *mean = 0;
  for (size_t i = 0; i < TOKENS; i++) means[i / PER_CHUNK] += value(&all[i]) / PER_CHUNK;
  for (size_t c = 0; c < CHUNKS; c++) *mean += means[c] / CHUNKS;
  for (size_t c = 0; c < CHUNKS; c++) squares += (means[c] - *mean) * (means[c] - *mean);
  *se = sqrtl(squares / (CHUNKS * (CHUNKS - 1)));
}

static int by_kl(const void *a, const void *b) {
  const expected *left = a, *right = b;
  return (left->kl > right->kl) - (left->kl < right->kl);
}

/* The value below which `share` of the tokens lie. */
static long double quantile(const expected *sorted, long double share) {
  long double place = share * (TOKENS - 1);
  size_t below = (size_t)place;
  if (below + 1 == TOKENS) return sorted[below].kl;
  return sorted[below].kl * (below + 1 - place) + sorted[below + 1].kl * (place - below);
}

/* --- comparing --------------------------------------------------------------------------- */

static void check_near(const json_value *root, const char *key, long double right) {
  double found = json_result_number(root, key);
  /* Divergences are differences of numbers near 10. */
  bool near = fabsl((long double)found - right) <= 1e-12L + 1e-9L * fabsl(right);
  if (!CHECK(near)) fprintf(stderr, "  %s: expected %.17Lg, found %.17g\n", key, right, found);
}

static void check_mean(const json_value *root, const char *key, const expected *all,
                       token_value *value) {
  char se_key[64];
  long double mean, se;
  mean_of(all, value, &mean, &se);
  CHECK(se > 0);
  snprintf(se_key, sizeof se_key, "%s_se", key);
  check_near(root, key, mean);
  check_near(root, se_key, se);
}

static void check_perplexity(const json_value *root, const char *key, const char *se_key,
                             const expected *all, token_value *nll) {
  long double mean, se;
  mean_of(all, nll, &mean, &se);
  check_near(root, key, expl(mean));
  check_near(root, se_key, expl(mean) * se);
}

static void check_figures(const json_value *root, const expected *all) {
  long double mean, se;
  CHECK_EQ_INT(json_result_number(root, "tokens"), TOKENS);
  CHECK_EQ_INT(json_result_number(root, "chunks"), CHUNKS);
  CHECK_EQ_INT(json_result_number(root, "ctx"), CHUNK);
  check_mean(root, "nll", all, nll_of);
  check_mean(root, "reference_nll", all, reference_nll_of);
  check_mean(root, "nll_difference", all, difference_of);
  check_mean(root, "kl_mean", all, kl_of);
  check_mean(root, "top1_agree", all, agreement_of);
  check_perplexity(root, "ppl", "ppl_se", all, nll_of);
  check_perplexity(root, "reference_ppl", "reference_ppl_se", all, reference_nll_of);
  mean_of(all, square_of, &mean, &se);
  check_near(root, "p_difference_rms", sqrtl(mean));
  expected sorted[TOKENS];
  memcpy(sorted, all, sizeof sorted);
  qsort(sorted, TOKENS, sizeof *sorted, by_kl);
  check_near(root, "kl_median", quantile(sorted, 0.5L));
  check_near(root, "kl_p90", quantile(sorted, 0.9L));
  check_near(root, "kl_p99", quantile(sorted, 0.99L));
  check_near(root, "kl_p999", quantile(sorted, 0.999L));
  check_near(root, "kl_max", sorted[TOKENS - 1].kl);
}

static bool ends_with(const char *text, const char *end) {
  return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static void check_guess(const json_value *guess, int id, long double token_nll) {
  CHECK_EQ_INT(json_result_number(guess, "id"), id);
  check_near(guess, "token_logprob", -token_nll);
  CHECK(json_result_number(guess, "logprob") >= json_result_number(guess, "token_logprob"));
}

/* `count` tokens, in order of their divergence. */
static void check_worst(const json_value *root, const expected *all, const int32_t *ids,
                        const char *text, size_t count) {
  expected sorted[TOKENS];
  memcpy(sorted, all, sizeof sorted);
  qsort(sorted, TOKENS, sizeof *sorted, by_kl);
  const json_value *worst = json_get(root, "worst");
  CHECK_EQ_INT(json_count(worst), count);
  const expected *e = sorted + TOKENS - 1;
  for (const json_value *w = json_first(worst); w; w = json_next(worst, w), e--) {
    CHECK_EQ_INT(json_result_number(w, "position"), e->place);
    CHECK_EQ_INT(json_result_number(w, "id"), ids[e->place]);
    check_near(w, "kl", e->kl);
    check_guess(json_get(w, "model"), e->best, e->nll);
    check_guess(json_get(w, "reference"), e->reference_best, e->reference_nll);
    /* What stands before it in the text, and itself. */
    char *before = json_text_copy(json_get(w, "before")),
         *token = json_text_copy(json_get(w, "text"));
    char *both = malloc(strlen(before) + strlen(token) + 1);
    if (!both) check_fatal("out of memory", token);
    strcat(strcpy(both, before), token);
    CHECK(strlen(before) > 8 && strlen(token) > 0);
    CHECK(strstr(text, both) != NULL);
    CHECK(ends_with(both, token));
    free(both);
    free(before);
    free(token);
  }
}

/* --- the tests --------------------------------------------------------------------------- */

static void figures(const char *model, const char *reference) {
  size_t bytes, count;
  char *text = check_read_file(check_data("heldout.txt"), &bytes);
  int32_t *ids;
  gust_model *open = model_open_or_die(model);
  gust_error err;
  if (gust_tokenize(open, text, bytes, GUST_TOKENIZE_BOS, &ids, &count, &err))
    check_fatal("tokenize", err.text);
  expected all[TOKENS];
  expect_all(all, model, reference, ids);
  run_result r = run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--ctx", "64",
                          "--chunks", "5", "--against", reference, "--json", "--quiet", "--worst",
                          "7", (const char *)NULL);
  json_document *doc = json_result_parse(&r);
  check_figures(json_root(doc), all);
  check_worst(json_root(doc), all, ids, text, 7);
  json_free(doc);

  /* The same to the byte on another level and with another number of threads. */
  run_result other =
      run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--ctx", "64", "--chunks",
               "5", "--against", reference, "--json", "--quiet", "--worst", "7", "--cpu", "c",
               "--threads", "3", "--load", "mmap", (const char *)NULL);
  CHECK_EQ_STR(other.out, r.out);
  run_result_clear(&other);
  run_result_clear(&r);
  gust_free(ids);
  gust_model_close(open);
  free(text);
}

/* One chunk has no standard error; without a reference there is no divergence; the
 * least likely tokens are listed then. */
static void alone(const char *model) {
  run_result r = run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--ctx", "64",
                          "--chunks", "1", "--json", "--quiet", (const char *)NULL);
  json_document *doc = json_result_parse(&r);
  const json_value *root = json_root(doc), *worst = json_get(root, "worst");
  static const char *const nulls[] = {"nll_se",  "ppl_se",     "reference_nll", "nll_difference",
                                      "kl_mean", "kl_mean_se", "kl_median",     "kl_p99",
                                      "kl_p999", "kl_max",     "top1_agree",    "top1_agree_se"};
  for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
    CHECK(json_is(json_get(root, nulls[i]), JSON_NULL));
  CHECK(fabs(json_result_number(root, "ppl") - exp(json_result_number(root, "nll"))) < 1e-9);
  CHECK_EQ_INT(json_count(worst), 5);
  double before = -1e9;
  for (const json_value *w = json_first(worst); w; w = json_next(worst, w)) {
    double logprob = json_result_number(json_get(w, "model"), "token_logprob");
    CHECK(logprob >= before && !json_get(w, "reference"));
    before = logprob;
  }
  json_free(doc);
  run_result_clear(&r);
}

/* A file has no divergence from itself, and no token to list for one. */
static void self(const char *model) {
  const char *svg = check_temp_file("self.svg");
  run_result r =
      run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--ctx", "64", "--chunks",
               "2", "--against", model, "--json", "--quiet", "--svg", svg, (const char *)NULL);
  json_document *doc = json_result_parse(&r);
  const json_value *root = json_root(doc);
  static const char *const zeros[] = {"kl_mean", "kl_mean_se",     "kl_median",
                                      "kl_p90",  "kl_p99",         "kl_p999",
                                      "kl_max",  "nll_difference", "p_difference_rms"};
  for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++)
    CHECK(json_result_number(root, zeros[i]) == 0);
  CHECK(json_result_number(root, "top1_agree") == 1);
  CHECK_EQ_INT(json_count(json_get(root, "worst")), 0);
  json_free(doc);
  run_result_clear(&r);
  size_t bytes;
  char *picture = check_read_file(svg, &bytes);
  CHECK_EQ_STR(xml_check(picture, bytes), "");
  free(picture);
}

static void table(const char *model, const char *reference) {
  run_result r =
      run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--ctx", "64", "--chunks",
               "2", "--against", reference, "--quiet", "--worst", "1", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK_CONTAINS(r.out, "tokens scored  62, in 2 chunks of 64\n");
  CHECK_CONTAINS(r.out, "\nKL mean        0.");
  CHECK_CONTAINS(r.out, "\nKL 99.9 %      0.");
  CHECK_CONTAINS(r.out, "\nthe tokens of largest divergence");
  CHECK_CONTAINS(r.out, "\" then \"");
  CHECK_CONTAINS(r.out, "\n    reference \"");
  CHECK_CONTAINS(r.out, "\n    this file \"");
  const char *second = strstr(r.out, " then ");
  CHECK(second && !strstr(second + 1, " then "));
  run_result_clear(&r);
  r = run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--ctx", "64", "--chunks",
               "1", "--quiet", "--worst", "0", (const char *)NULL);
  CHECK(strstr(r.out, "perplexity") && !strstr(r.out, "+/-") && !strstr(r.out, "least expected"));
  run_result_clear(&r);
  /* Shares of all sizes, of which none needs an exponent at the upper end. */
  r = run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--chunks", "3", "--quiet",
               "--worst", "200", (const char *)NULL);
  CHECK_CONTAINS(r.out, " 100 %, ");
  CHECK(!strstr(r.out, "e+"));
  run_result_clear(&r);
}

/* Well-formed, with the figures in it, the same bytes again, and names that would be
 * markup spelled out. */
static void picture(const char *model, const char *reference) {
  size_t bytes, again_bytes, model_bytes;
#ifdef _WIN32 /* where no file has such a name */
  const char *name = "a&b.gust", *spelled = ">a&amp;b.gust against ";
#else
  const char *name = "a<b>&\"\xff.gust", *spelled = ">a&lt;b&gt;&amp;\"?.gust against ";
#endif
  const char *svg = check_temp_file("kl.svg"), *odd = check_temp_file(name);
  char *data = check_read_file(model, &model_bytes);
  check_write_file(odd, data, model_bytes);
  free(data);
  char *pictures[2];
  for (int i = 0; i < 2; i++) {
    CHECK_GUST(0, NULL, "", NULL, "eval", odd, "--text", check_data("heldout.txt"), "--ctx", "64",
               "--chunks", "4", "--against", reference, "--svg", svg, "--quiet", "--threads",
               i ? "1" : "2");
    pictures[i] = check_read_file(svg, i ? &again_bytes : &bytes);
  }
  CHECK_EQ_STR(pictures[0], pictures[1]);
  CHECK_EQ_INT(bytes, again_bytes);
  CHECK_EQ_STR(xml_check(pictures[0], bytes), "");
  CHECK_CONTAINS(pictures[0], spelled);
  CHECK_CONTAINS(pictures[0], "124 tokens, mean 0.");
  CHECK_CONTAINS(pictures[0], "prefers-color-scheme:dark");
  static const char *const marks[] = {">median 0.", ">mean 0.", ">99 % 0.", ">99.9 % 0."};
  for (size_t i = 0; i < 4; i++) CHECK_CONTAINS(pictures[0], marks[i]);
  free(pictures[0]);
  free(pictures[1]);

  CHECK_GUST(2, "", "gust eval: --svg draws a divergence; say from what with --against FILE\n",
             NULL, "eval", model, "--text", check_data("heldout.txt"), "--svg", svg);
  CHECK_GUST(2, "",
             "gust eval: --svg: expected the name of a file, found '-'; standard output is for "
             "the figures: give it a name\n",
             NULL, "eval", model, "--text", check_data("heldout.txt"), "--against", reference,
             "--svg", "-");
  char nowhere[1024];
  snprintf(nowhere, sizeof nowhere, "%s/no/such/folder.svg", check_temp());
  /* Before anything is read or computed, and in the words that were given. */
  char refusal[1200];
  snprintf(refusal, sizeof refusal, "gust eval: %s: cannot create: No such file or directory\n",
           nowhere);
  CHECK_GUST(1, "", refusal, NULL, "eval", "no/such/model.gust", "--text", "no/such/text",
             "--against", "no/such/reference", "--svg", nowhere, "--quiet");
  /* What was computed is told, whatever becomes of the picture. */
  const char *full = host_full_file();
  if (!full) return;
  run_result r =
      run_gust(NULL, "eval", model, "--text", check_data("heldout.txt"), "--ctx", "64", "--chunks",
               "1", "--against", reference, "--svg", full, "--quiet", (const char *)NULL);
  CHECK_EQ_INT(r.code, 1);
  CHECK_CONTAINS(r.out, "KL");
  CHECK_CONTAINS(r.err, "cannot write: No space left on device");
  run_result_clear(&r);
}

/* --- progress ------------------------------------------------------------------------ */

static bool cancel_at_once(void *user, uint64_t done, uint64_t total) {
  uint64_t *seen = user;
  seen[0]++;
  seen[1] = done;
  seen[2] = total;
  return true;
}

/* What is asked to stop does so after a few tokens, and says how far it came. */
static void cancelled(const char *path) {
  gust_model *model = model_open_or_die(path);
  gust_context *context = context_or_die(model, NULL);
  int32_t ids[512] = {0};
  uint64_t seen[3] = {0};
  evaluation result;
  gust_error err = {0};
  evaluation_input input = {.model = context,
                            .vocab = VOCAB,
                            .ids = ids,
                            .chunk = 256,
                            .chunks = 2,
                            .bos_id = 1,
                            .progress = cancel_at_once,
                            .user = seen};
  CHECK_EQ_INT(evaluation_run(&result, &input, &err), GUST_E_CANCELLED);
  CHECK_EQ_STR(err.text, "evaluating was cancelled after 16 of 510 tokens");
  CHECK(seen[0] == 1 && seen[1] == 16 && seen[2] == 510);
  CHECK_EQ_INT(gust_context_length(context), 16);
  gust_context_destroy(context);
  gust_model_close(model);
}

/* Logits that overflow are no figures: a final norm of enormous weights. Mapped, since
 * copying would find that the tensor's checksum does not match. */
static void infinite(const char *model) {
  size_t bytes;
  char *data = check_read_file(model, &bytes);
  const char *path = check_temp_file("infinite.gust");
  gust_model *open = model_open_or_die(model);
  gust_tensor_info tensor;
  for (size_t i = 0; gust_model_get_tensor(open, i, &tensor) == GUST_OK; i++) {
    const float huge = 3e38f;
    if (strcmp(tensor.name, "model.norm.weight") != 0) continue;
    for (uint64_t k = 0; k < tensor.shape[0]; k++)
      memcpy(data + tensor.offset + 4 * k, &huge, sizeof huge);
  }
  gust_model_close(open);
  check_write_file(path, data, bytes);
  free(data);
  CHECK_GUST(1, "",
             "gust eval: token 33 of the text: expected finite logits, found infinity or NaN; the "
             "file's weights are damaged or too large\n",
             NULL, "eval", path, "--load", "mmap", "--text", check_data("heldout.txt"), "--ctx",
             "64", "--chunks", "1", "--quiet");
  CHECK_GUST(1, "",
             "gust eval: token 33 of the text: expected finite logits of the reference, found "
             "infinity or NaN; the file's weights are damaged or too large\n",
             NULL, "eval", model, "--against", path, "--load", "mmap", "--text",
             check_data("heldout.txt"), "--ctx", "64", "--chunks", "1", "--quiet");
}

int main(void) {
  const char *model = demo_model_path("q4"), *reference = demo_model_path("f32");
  if (!model || !reference) check_skip("GUST_DEMO_F32 and so on are not set: run under meson test");
  figures(model, reference);
  figures(demo_model_path("q8"), reference);
  alone(model);
  self(model);
  self(reference);
  table(model, reference);
  picture(model, reference);
  cancelled(model);
  infinite(reference);
  return check_finish();
}
