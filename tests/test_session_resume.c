/* A chat that is left and resumed says what one that ran through says: with the cache
 * and without it, and past the sliding window. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/session_journal.h"
#include "demo_model.h"

static const gust_model *model;
static size_t notice_count;

static void take_notice(void *user, const char *line) {
  (void)user, (void)line;
  notice_count++;
}

static session_journal *open_or_die(const char *path) {
  static const session_options options = {.model_name = "demo-q4.gust", .notice = take_notice};
  gust_error err;
  session_journal *journal;
  notice_count = 0;
  if (session_journal_open(&journal, path, model, &options, &err)) check_fatal("open", err.text);
  return journal;
}

static void commit_or_die(session_journal *journal, const gust_context *context) {
  gust_error err;
  if (session_journal_commit(journal, context, &err)) check_fatal("commit", err.text);
}

/* --- the same text -------------------------------------------------------------------------- */

typedef struct answer_text {
  char text[2048];
  size_t bytes;
} answer_text;

static bool collect(void *user, int32_t id, const char *text, size_t bytes) {
  (void)id;
  answer_text *answer = user;
  if (answer->bytes + bytes < sizeof answer->text) {
    memcpy(answer->text + answer->bytes, text, bytes);
    answer->bytes += bytes;
  }
  return false;
}

/* Adds a user's message and its answer; *fed says how many ids were computed. */
static void answer_turn(session_journal *journal, gust_context *context, gust_sampler *sampler,
                        const char *question, answer_text *answer, size_t *fed) {
  gust_error err;
  int32_t *ids;
  size_t count, common = 0;
  char state[32];
  memset(answer, 0, sizeof *answer);
  session_journal_add_message(journal, "user", question, strlen(question), &err);
  if (gust_chat_tokenize(model, session_journal_messages(journal),
                         session_journal_message_count(journal), true, &ids, &count, &err))
    check_fatal("tokenize", err.text);
  const int32_t *held = gust_context_ids(context);
  while (common < gust_context_length(context) && common + 1 < count && held[common] == ids[common])
    common++;
  if (common < gust_context_length(context)) common = gust_context_truncate(context, common);
  *fed = count - common;
  if (gust_context_feed(context, ids + common, *fed, NULL, NULL, &err) ||
      gust_generate(context, sampler, NULL, 60, collect, answer, NULL, &err))
    check_fatal("answer", err.text);
  gust_free(ids);
  session_journal_add_message(journal, "assistant", answer->text, answer->bytes, &err);
  snprintf(state, sizeof state, "%llu", (unsigned long long)gust_sampler_get_state(sampler));
  session_journal_add_setting(journal, "sampler", state, &err);
  commit_or_die(journal, context);
}

static gust_sampler *new_sampler(const session_journal *journal) {
  gust_sampling sampling = {.temperature = 1.2f, .top_p = 1, .repeat_penalty = 1.1f, .seed = 42};
  gust_sampler *sampler;
  gust_error err;
  if (gust_sampler_create(&sampler, model, &sampling, &err)) check_fatal("sampler", err.text);
  const char *state = session_journal_setting(journal, "sampler");
  if (state) gust_sampler_set_state(sampler, strtoull(state, NULL, 10));
  return sampler;
}

static const char *const questions[3] = {"Tell me a story about a fox.", "What did it eat?",
                                         "Why?"};

/* Turn by turn, as if the program ended after each; `drop_cache` cuts off the last
 * record, the cache of the last turn, each time. */
static void check_same_text(const char *name, const answer_text expected[3], bool drop_cache) {
  const char *path = check_temp_file(name);
  for (int turn = 0; turn < 3; turn++) {
    answer_text answer;
    size_t fed, count, bytes;
    gust_error err;
    session_journal *journal = open_or_die(path);
    gust_context *context = context_or_die(model, NULL);
    gust_sampler *sampler = new_sampler(journal);
    CHECK_EQ_INT(session_journal_restore(journal, context, &count, &err), GUST_OK);
    CHECK((count > 0) == (turn > 0 && !drop_cache));
    answer_turn(journal, context, sampler, questions[turn], &answer, &fed);
    CHECK_EQ_STR(answer.text, expected[turn].text);
    if (turn > 0 && !drop_cache) CHECK(fed < 40); /* the question, not the story */
    gust_sampler_destroy(sampler);
    gust_context_destroy(context);
    session_journal_close(journal);
    if (drop_cache) {
      char *data = check_read_file(path, &bytes);
      check_write_file(path, data, bytes - 1);
      free(data);
    }
  }
}

static void check_resume(void) {
  answer_text expected[3];
  size_t fed;
  session_journal *journal = open_or_die(check_temp_file("through.session"));
  gust_context *context = context_or_die(model, NULL);
  gust_sampler *sampler = new_sampler(journal);
  for (int turn = 0; turn < 3; turn++) {
    answer_turn(journal, context, sampler, questions[turn], &expected[turn], &fed);
    CHECK(expected[turn].bytes > 0);
  }
  gust_sampler_destroy(sampler);
  gust_context_destroy(context);
  session_journal_close(journal);
  check_same_text("resumed.session", expected, false);
  check_same_text("reread.session", expected, true);
}

/* Past the sliding window, in a context that forgets: what is left of it is enough. */
static void check_resume_window(void) {
  gust_error err;
  const char *path = check_temp_file("window.session");
  gust_context_options small = {.batch = 64};
  gust_context *whole = context_or_die(model, &small), *again = context_or_die(model, &small);
  session_journal *journal = open_or_die(path);
  int32_t ids[900];
  unsigned long long random = 3;
  for (size_t i = 0; i < 900; i++) ids[i] = (int32_t)(300 + check_random(&random) % 3000);
  /* The second part alone is more than the cache holds. */
  gust_context_feed(whole, ids, 50, NULL, NULL, &err);
  commit_or_die(journal, whole);
  gust_context_feed(whole, ids + 50, 840, NULL, NULL, &err);
  CHECK(gust_context_state_first(whole) > 50);
  commit_or_die(journal, whole);
  session_journal_close(journal);
  journal = open_or_die(path);
  size_t count;
  CHECK_EQ_INT(session_journal_restore(journal, again, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 890);
  gust_context_feed(whole, ids + 890, 10, NULL, NULL, &err);
  CHECK_EQ_INT(gust_context_feed(again, ids + 890, 10, NULL, NULL, &err), GUST_OK);
  const float *x = gust_context_logits(whole), *y = gust_context_logits(again);
  CHECK(x && y && memcmp(x, y, gust_model_get_info(model)->vocab_size * sizeof *x) == 0);
  CHECK_EQ_INT(notice_count, 0);
  /* A context too small for all of it goes on from what was saved without a gap. */
  gust_context *tiny = context_or_die(model, &(gust_context_options){.positions = 300});
  CHECK_EQ_INT(session_journal_restore(journal, tiny, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 50);
  session_journal_close(journal);
  gust_context_destroy(tiny);
  gust_context_destroy(whole);
  gust_context_destroy(again);
}

int main(void) {
  gust_model *opened = demo_model_open("q4");
  model = opened;
  check_resume();
  check_resume_window();
  gust_model_close(opened);
  return check_finish();
}
