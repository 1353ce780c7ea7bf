#include "evaluation_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "human.h"
#include "portable_math.h"
#include "screen_text.h"

/* --- figures ----------------------------------------------------------------------- */

static void json_mean(json_out *json, const char *name, const char *se_name, evaluation_mean m) {
  json_out_real(json, name, m.mean);
  json_out_real(json, se_name, m.se);
}

void evaluation_report_json(json_out *json, const evaluation_summary *s, size_t chunk) {
  json_mean(json, "nll", "nll_se", s->nll);
  json_mean(json, "ppl", "ppl_se", s->ppl);
  json_out_count(json, "tokens", s->tokens);
  json_out_count(json, "chunks", s->chunks);
  json_out_count(json, "ctx", chunk);
  json_mean(json, "reference_nll", "reference_nll_se", s->reference_nll);
  json_mean(json, "reference_ppl", "reference_ppl_se", s->reference_ppl);
  json_mean(json, "nll_difference", "nll_difference_se", s->nll_difference);
  json_mean(json, "kl_mean", "kl_mean_se", s->kl);
  json_out_real(json, "kl_median", s->kl_median);
  json_out_real(json, "kl_p90", s->kl_p90);
  json_out_real(json, "kl_p99", s->kl_p99);
  json_out_real(json, "kl_p999", s->kl_p999);
  json_out_real(json, "kl_max", s->kl_max);
  json_mean(json, "top1_agree", "top1_agree_se", s->top1_agree);
  json_out_real(json, "p_difference_rms", s->p_difference_rms);
}

/* "10.1234 +/- 0.0123", or the mean alone when there is no error to it. */
static void print_mean(const char *name, evaluation_mean m, int decimals, const char *unit) {
  printf("%-15s%.*f", name, decimals, m.mean);
  if (isfinite(m.se)) printf(" +/- %.*f", decimals, m.se);
  printf("%s\n", unit);
}

void evaluation_report_table(const evaluation_summary *s, size_t chunk) {
  printf("tokens scored  %zu, in %zu chunk%s of %zu\n", s->tokens, s->chunks,
         s->chunks == 1 ? "" : "s", chunk);
  print_mean("nll", s->nll, 6, " nats/token");
  print_mean("perplexity", s->ppl, 4, "");
  if (!s->sorted_kl) return;
  print_mean("  reference", s->reference_ppl, 4, "");
  print_mean("nll difference", s->nll_difference, 6, " nats/token");
  print_mean("KL mean", s->kl, 6, " nats");
  printf("KL median      %.6f nats\n", s->kl_median);
  printf("KL 90 %%        %.6f nats\n", s->kl_p90);
  printf("KL 99 %%        %.6f nats\n", s->kl_p99);
  printf("KL 99.9 %%      %.6f nats\n", s->kl_p999);
  printf("KL largest     %.6f nats\n", s->kl_max);
  const evaluation_mean agree = {100 * s->top1_agree.mean, 100 * s->top1_agree.se};
  print_mean("top-1 agree", agree, 2, " %");
  printf("p difference   %.2f %% (root mean square, of the token that follows)\n",
         100 * s->p_difference_rms);
}

/* --- the worst tokens ---------------------------------------------------------------- */

/* Ids before the token from which its surroundings are spelled, and how much of that
 * is shown. */
#define CONTEXT_IDS 24u
#define CONTEXT_BYTES 56u

typedef struct spelling {
  char *text;
  size_t bytes;
} spelling;

static gust_status append(spelling *s, const char *text, size_t bytes, gust_error *err) {
  char *grown = realloc(s->text, s->bytes + bytes + 1);
  if (!grown) return command_error(err, GUST_E_MEMORY, "no memory to spell a token");
  if (bytes) memcpy(grown + s->bytes, text, bytes);
  s->text = grown;
  s->bytes += bytes;
  grown[s->bytes] = 0;
  return GUST_OK;
}

/* The text an id adds. None when the tokenizer has no such piece: models may have
 * more rows than that. */
static gust_status push(gust_decoder *decoder, int32_t id, spelling *s, gust_error *err) {
  const char *text;
  size_t bytes;
  gust_status status = gust_decoder_push(decoder, id, &text, &bytes, err);
  if (status == GUST_E_ARGUMENT) return GUST_OK;
  return status == GUST_OK ? append(s, text, bytes, err) : status;
}

/* Spells ids[count], and what `id` adds after them, or "<id N>" when that is
 * nothing: special tokens have no text. Both to be freed, in any case. */
static gust_status spell(const gust_model *model, const int32_t *ids, size_t count, int32_t id,
                         spelling *before, spelling *token, gust_error *err) {
  gust_decoder *decoder = NULL;
  const char *text;
  size_t bytes;
  gust_status status = gust_decoder_create(&decoder, model, err);
  for (size_t i = 0; i < count && status == GUST_OK; i++)
    status = push(decoder, ids[i], before, err);
  if (status == GUST_OK) status = push(decoder, id, token, err);
  if (status == GUST_OK) status = gust_decoder_finish(decoder, &text, &bytes, err);
  if (status == GUST_OK) status = append(token, text, bytes, err);
  gust_decoder_destroy(decoder);
  if (status != GUST_OK || token->bytes > 0) return status;
  char name[32];
  int length = snprintf(name, sizeof name, "<id %d>", (int)id);
  return append(token, name, (size_t)length, err);
}

/* One token as it is shown. */
typedef struct worst_token {
  const evaluation_token *scored;
  int32_t id;
  spelling before, text, best, reference_best;
} worst_token;

static gust_status spell_worst(worst_token *w, const evaluation_places *worst,
                               const evaluation_token *token, bool compared, gust_error *err) {
  /* The first id of a chunk was replaced: the model did not see it. */
  size_t begin = token->place / worst->chunk * worst->chunk + 1;
  if (token->place - begin > CONTEXT_IDS) begin = token->place - CONTEXT_IDS;
  const int32_t *ids = worst->ids + begin;
  size_t count = token->place - begin;
  spelling unused = {0};
  *w = (worst_token){.scored = token, .id = worst->ids[token->place]};
  gust_status status = spell(worst->model, ids, count, w->id, &w->before, &w->text, err);
  if (status == GUST_OK)
    status = spell(worst->model, ids, count, token->best.id, &unused, &w->best, err);
  if (status == GUST_OK && compared)
    status =
        spell(worst->model, ids, count, token->reference_best.id, &unused, &w->reference_best, err);
  free(unused.text);
  return status;
}

static void clear_worst(worst_token *w) {
  free(w->before.text);
  free(w->text.text);
  free(w->best.text);
  free(w->reference_best.text);
}

static void json_guess(json_out *json, const char *key, evaluation_guess guess,
                       const spelling *text, double of_token) {
  json_out_open_object(json, key, false);
  json_out_integer(json, "id", guess.id);
  json_out_text(json, "text", text->text, text->bytes);
  json_out_real(json, "logprob", guess.logprob);
  json_out_real(json, "token_logprob", of_token);
  json_out_close(json);
}

static void json_worst(json_out *json, const worst_token *w, bool compared) {
  const evaluation_token *token = w->scored;
  json_out_open_object(json, NULL, true);
  json_out_count(json, "position", token->place);
  json_out_text(json, "before", w->before.text ? w->before.text : "", w->before.bytes);
  json_out_integer(json, "id", w->id);
  json_out_text(json, "text", w->text.text, w->text.bytes);
  if (compared) json_out_real(json, "kl", token->kl);
  json_guess(json, "model", token->best, &w->best, token->logprob);
  if (compared)
    json_guess(json, "reference", token->reference_best, &w->reference_best,
               token->reference_logprob);
  json_out_close(json);
}

gust_status evaluation_report_worst_json(json_out *json, const evaluation *result,
                                         const evaluation_places *worst, gust_error *err) {
  gust_status status = GUST_OK;
  json_out_open_array(json, "worst", true);
  for (size_t i = 0; i < worst->count && status == GUST_OK; i++) {
    worst_token w;
    status = spell_worst(&w, worst, &result->tokens[worst->places[i]], result->compared, err);
    if (status == GUST_OK) json_worst(json, &w, result->compared);
    clear_worst(&w);
  }
  json_out_close(json);
  return status;
}

/* In double quotes on one line, whatever it is. */
static void print_quoted(const char *text, size_t bytes) {
  putchar('"');
  for (size_t i = 0; i < bytes;) {
    size_t plain = 0;
    while (i + plain < bytes && text[i + plain] != '\n' && text[i + plain] != '\t') plain++;
    screen_text_write(stdout, text + i, plain);
    i += plain;
    if (i == bytes) break;
    fputs(text[i++] == '\n' ? "\\n" : "\\t", stdout);
  }
  putchar('"');
}

/* The end of it, from the beginning of a character on. */
static void print_context(const spelling *before) {
  size_t from = before->bytes > CONTEXT_BYTES ? before->bytes - CONTEXT_BYTES : 0;
  while (from > 0 && from < before->bytes && (before->text[from] & 0xc0) == 0x80) from++;
  if (from > 0) fputs("...", stdout);
  print_quoted(before->text ? before->text + from : "", before->bytes - from);
}

static void print_share(const spelling *text, double logprob) {
  putchar(' ');
  print_quoted(text->text, text->bytes);
  /* Two digits, but those of 99.6 %, rounded, are three. */
  double percent = 100 * portable_exp(logprob);
  printf(percent < 10 ? " %.2g %%" : " %.0f %%", percent);
}

/* What a model took for likeliest, and what it gave the token that follows. */
static void print_guess(const char *who, evaluation_guess guess, const spelling *text,
                        const worst_token *w, double of_token) {
  printf("    %-9s", who);
  print_share(text, guess.logprob);
  if (guess.id != w->id) {
    putchar(',');
    print_share(&w->text, of_token);
  }
  putchar('\n');
}

static void print_worst(const worst_token *w, bool compared) {
  const evaluation_token *token = w->scored;
  char place[HUMAN_BYTES];
  printf("%8.4f  token %s: ", compared ? token->kl : -token->logprob,
         human_count(place, token->place));
  print_context(&w->before);
  fputs(" then ", stdout);
  print_quoted(w->text.text, w->text.bytes);
  putchar('\n');
  if (compared)
    print_guess("reference", token->reference_best, &w->reference_best, w,
                token->reference_logprob);
  print_guess("this file", token->best, &w->best, w, token->logprob);
}

gust_status evaluation_report_worst_table(const evaluation *result, const evaluation_places *worst,
                                          gust_error *err) {
  gust_status status = GUST_OK;
  if (worst->count == 0) return GUST_OK;
  printf("\n%s\n", result->compared ? "the tokens of largest divergence, in nats, and what was "
                                      "expected instead"
                                    : "the least expected tokens, in nats");
  for (size_t i = 0; i < worst->count && status == GUST_OK; i++) {
    worst_token w;
    status = spell_worst(&w, worst, &result->tokens[worst->places[i]], result->compared, err);
    if (status == GUST_OK) print_worst(&w, result->compared);
    clear_worst(&w);
  }
  return status;
}
