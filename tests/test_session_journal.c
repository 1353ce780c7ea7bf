/* Session files: what is written is what is found, a resumed chat says what an
 * uninterrupted one says, and no cut, flipped bit, full disk or second chat loses or
 * changes anything in silence. */
#include "cli/session_journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "cli/session_records.h"
#include "demo_model.h"
#include "host.h"
#include "os.h"

#define TURNS 3

static const gust_model *model;
static gust_context *reference; /* made by itself, never restored */
static gust_context *resumed;   /* filled by restoring, emptied after each use */

/* --- notices ------------------------------------------------------------------------ */

static char notices[4096];
static size_t notice_count;

static void take_notice(void *user, const char *line) {
  (void)user;
  notice_count++;
  CHECK(strchr(line, '\n') == NULL);
  strncat(notices, line, sizeof notices - strlen(notices) - 2);
  strcat(notices, "\n");
}

static void forget_notices(void) {
  notices[0] = 0;
  notice_count = 0;
}

static const session_options options = {.model_name = "demo-q4.gust", .notice = take_notice};

static session_journal *open_or_die(const char *path) {
  gust_error err;
  session_journal *journal;
  forget_notices();
  if (session_journal_open(&journal, path, model, &options, &err)) check_fatal("open", err.text);
  return journal;
}

static void commit_or_die(session_journal *journal, const gust_context *context) {
  gust_error err;
  if (session_journal_commit(journal, context, &err)) check_fatal("commit", err.text);
}

/* --- a small conversation --------------------------------------------------------------- */

/* What the messages are after so many turns; the third takes the second back. */
static const char *const states[TURNS + 1][5] = {
    {NULL},
    {"be kind", "hello\x00\n</s>", "Hello!", NULL},
    {"be kind", "hello\x00\n</s>", "Hello!", "again", NULL},
    {"be kind", "hello\x00\n</s>", "Hello!", "instead", ""},
};
static const char *const roles[] = {"system", "user", "assistant", "user", "assistant"};
static const size_t message_counts[TURNS + 1] = {0, 3, 4, 5};
#define HELLO_BYTES 11 /* the NUL is part of it */

static size_t bytes_of(const char *text) {
  return strncmp(text, "hello", 5) == 0 ? HELLO_BYTES : strlen(text);
}

static void add(session_journal *journal, size_t turn, size_t index) {
  gust_error err;
  const char *text = states[turn][index];
  CHECK_EQ_INT(session_journal_add_message(journal, roles[index], text, bytes_of(text), &err),
               GUST_OK);
}

/* The ids of a turn are no text: what counts here is that they come back. */
static void feed(gust_context *context, size_t turn) {
  static const int32_t ids[TURNS][4] = {
      {1, 400, 401, 402}, {410, 411, 412, 413}, {420, 421, 422, 423}};
  gust_error err;
  if (turn == TURNS - 1) CHECK_EQ_INT(gust_context_truncate(context, 6), 6);
  if (gust_context_feed(context, ids[turn], 4, NULL, NULL, &err)) check_fatal("feed", err.text);
}

static void play_turn(session_journal *journal, gust_context *context, size_t turn) {
  gust_error err;
  char value[2] = {(char)('1' + turn), 0};
  CHECK_EQ_INT(session_journal_add_setting(journal, "state", value, &err), GUST_OK);
  if (turn == 2) CHECK_EQ_INT(session_journal_add_truncate(journal, 3, &err), GUST_OK);
  size_t from = turn == 0 ? 0 : 3;
  for (size_t i = from; i < message_counts[turn + 1]; i++) add(journal, turn + 1, i);
  feed(context, turn);
  CHECK(session_journal_is_pending(journal));
  commit_or_die(journal, context);
  CHECK(!session_journal_is_pending(journal));
}

static uint64_t size_of(const char *path) {
  return check_file_bytes(path);
}

/* Plays all turns into a new file; sizes[k]: of the file after k turns. `reference`
 * holds the context afterwards. */
static const char *play_all(const char *name, uint64_t sizes[TURNS + 1]) {
  const char *path = check_temp_file(name);
  session_journal *journal = open_or_die(path);
  CHECK(session_journal_is_new(journal));
  CHECK_EQ_STR(session_journal_path(journal), path);
  gust_context_truncate(reference, 0);
  sizes[0] = size_of(path);
  for (size_t turn = 0; turn < TURNS; turn++) {
    play_turn(journal, reference, turn);
    sizes[turn + 1] = size_of(path);
  }
  session_journal_close(journal);
  return path;
}

static bool has_state(const session_journal *journal, size_t turn) {
  const gust_message *messages = session_journal_messages(journal);
  const char *value = session_journal_setting(journal, "state");
  char expected[2] = {(char)('0' + turn), 0};
  if (session_journal_message_count(journal) != message_counts[turn]) return false;
  if (turn == 0 ? value != NULL : !value || strcmp(value, expected) != 0) return false;
  for (size_t i = 0; i < message_counts[turn]; i++) {
    const char *text = states[turn][i];
    if (strcmp(messages[i].role, roles[i]) != 0 || messages[i].bytes != bytes_of(text) ||
        memcmp(messages[i].content, text, bytes_of(text)) != 0)
      return false;
  }
  return true;
}

/* After how many turns the journal stands; TURNS + 1: nowhere it ever stood. */
static size_t state_of(const session_journal *journal) {
  size_t turn = TURNS;
  while (turn > 0 && !has_state(journal, turn)) turn--;
  return turn > 0 || has_state(journal, 0) ? turn : TURNS + 1;
}

/* Ids and keys and values of what was restored are those that `turns` turns leave, bit by bit;
 * returns how many positions. */
static size_t check_restored(session_journal *journal, size_t turns) {
  static const int32_t ids[TURNS + 1][10] = {
      {0},
      {1, 400, 401, 402},
      {1, 400, 401, 402, 410, 411, 412, 413},
      {1, 400, 401, 402, 410, 411, 420, 421, 422, 423},
  };
  static const size_t lengths[TURNS + 1] = {0, 4, 8, 10};
  gust_error err = {.text = ""};
  size_t count = 99;
  CHECK_EQ_INT(session_journal_restore(journal, resumed, &count, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  CHECK(count <= lengths[turns] && count == gust_context_length(resumed));
  CHECK(memcmp(gust_context_ids(resumed), ids[turns], count * sizeof(int32_t)) == 0);
  if (count > 0 && turns > 0) {
    gust_context_truncate(reference, 0);
    gust_context_feed(reference, ids[turns], lengths[turns], NULL, NULL, &err);
    size_t bytes = gust_context_state_bytes(reference, 0, count);
    uint8_t *a = malloc(bytes), *b = malloc(bytes);
    if (!a || !b) check_fatal("out of memory", "state");
    gust_context_save_state(reference, 0, count, a, bytes, &err);
    gust_context_save_state(resumed, 0, count, b, bytes, &err);
    CHECK(memcmp(a, b, bytes) == 0);
    free(a);
    free(b);
  }
  gust_context_truncate(resumed, 0);
  return count;
}

/* --- the tests ----------------------------------------------------------------------------- */

static void check_whole(void) {
  uint64_t sizes[TURNS + 1];
  const char *path = play_all("whole.session", sizes);
  CHECK(host_has_mode(path, 0600));
  /* Also where others could read it. */
  host_set_mode(path, 0644);
  session_journal *journal = open_or_die(path);
  CHECK(host_has_mode(path, 0600));
  CHECK(!session_journal_is_new(journal));
  CHECK_EQ_INT(state_of(journal), 3);
  CHECK_EQ_INT(check_restored(journal, 3), 10);
  CHECK_EQ_INT(notice_count, 0);
  CHECK(session_journal_setting(journal, "none") == NULL);
  /* Nothing new: nothing is written. */
  gust_error err;
  CHECK_EQ_INT(session_journal_add_setting(journal, "state", "3", &err), GUST_OK);
  CHECK_EQ_INT(session_journal_add_truncate(journal, 5, &err), GUST_OK);
  commit_or_die(journal, reference);
  CHECK_EQ_INT(size_of(path), sizes[3]);
  /* What cannot be said is not taken. */
  CHECK_EQ_INT(session_journal_add_message(journal, "tool", "x", 1, &err), GUST_E_ARGUMENT);
  CHECK_EQ_STR(err.text, "expected the role system, user or assistant, found tool");
  CHECK_EQ_INT(session_journal_add_truncate(journal, 6, &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(session_journal_add_setting(journal, "", "x", &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(state_of(journal), 3);
  CHECK(!session_journal_is_pending(journal));
  session_journal_close(journal);
  session_journal_close(NULL);
}

/* A file cut at any byte goes on at the last turn that is whole, and says what was
 * dropped. Inside the state itself, which is long, not every byte is tried. */
static void check_torn(void) {
  uint64_t sizes[TURNS + 1];
  size_t bytes;
  const char *path = play_all("torn.session", sizes), *cut = check_temp_file("cut.session");
  char *data = check_read_file(path, &bytes);
  CHECK_EQ_INT(bytes, sizes[3]);
  size_t events_end = 0, with_events = 0;
  for (uint64_t size = sizes[0]; size <= sizes[3]; size++) {
    bool at_border = size == sizes[0] || size == sizes[1] || size == sizes[2] || size == sizes[3];
    check_write_file(cut, data, (size_t)size);
    session_journal *journal = open_or_die(cut);
    size_t turns = state_of(journal), lower = 0;
    while (lower < 3 && sizes[lower + 1] <= size) lower++;
    CHECK(turns == lower || turns == lower + 1);
    if (turns == 3 && lower == 2 && !events_end) events_end = (size_t)size;
    with_events += turns == lower + 1;
    size_t expected_notices = at_border ? 0 : notice_count;
    CHECK(at_border || notice_count == 1 || turns == lower + 1);
    CHECK_EQ_INT(notice_count, expected_notices);
    if (notice_count) {
      char expected[600];
      CHECK_CONTAINS(notices, "its last record was not written to the end; ");
      snprintf(expected, sizeof expected,
               "; %llu bytes were dropped, the session goes on before it",
               (unsigned long long)(size - size_of(cut)));
      CHECK_CONTAINS(notices, expected);
    }
    session_journal_close(journal);
    /* What was dropped is gone: no notice any more. */
    journal = open_or_die(cut);
    CHECK_EQ_INT(notice_count, 0);
    CHECK_EQ_INT(state_of(journal), turns);
    session_journal_close(journal);
    if (turns == lower + 1 && size + 300 < sizes[lower + 1]) size += 211;
  }
  CHECK(events_end > sizes[2] && with_events > 3);
  free(data);
}

/* The turn goes on after a tear: what is written then is found. */
static void check_torn_goes_on(void) {
  uint64_t sizes[TURNS + 1];
  const char *path = play_all("goes-on.session", sizes);
  check_cut_file(path, sizes[2] + 50);
  session_journal *journal = open_or_die(path);
  CHECK_EQ_INT(state_of(journal), 2);
  gust_error err;
  size_t count;
  CHECK_EQ_INT(session_journal_restore(journal, resumed, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 8);
  play_turn(journal, resumed, 2);
  CHECK_EQ_INT(size_of(path), sizes[3]);
  session_journal_close(journal);
  gust_context_truncate(resumed, 0);
  journal = open_or_die(path);
  CHECK_EQ_INT(state_of(journal), 3);
  CHECK_EQ_INT(check_restored(journal, 3), 10);
  CHECK_EQ_INT(notice_count, 0);
  session_journal_close(journal);
}

/* One flipped bit: refused, or something it once was, with a notice, bit by bit. */
static void check_flip(const char *path, char *data, size_t bytes, size_t at, int bit,
                       size_t results[TURNS + 1]) {
  gust_error err = {.text = ""};
  session_journal *journal;
  char damaged[600];
  data[at] ^= (char)(1 << bit);
  check_write_file(path, data, bytes);
  data[at] ^= (char)(1 << bit);
  forget_notices();
  if (session_journal_open(&journal, path, model, &options, &err)) {
    CHECK(err.text[0] && !strchr(err.text, '\n') && strstr(err.text, path));
    CHECK_EQ_INT(size_of(path), bytes); /* left as it is */
    results[0]++;
    return;
  }
  size_t turns = state_of(journal);
  CHECK(turns <= TURNS);
  if (turns <= TURNS) {
    /* The cache may be older than the messages, never other than it ever was. */
    size_t count = 99;
    CHECK_EQ_INT(session_journal_restore(journal, resumed, &count, &err), GUST_OK);
    size_t held = count;
    gust_context_truncate(resumed, 0);
    CHECK(notice_count >= 1);
    size_t of = held > 8 ? 3 : held > 4 ? 2 : held > 0 ? 1 : 0;
    CHECK_EQ_INT(check_restored(journal, of), held);
    results[turns]++;
  }
  session_journal_close(journal);
  snprintf(damaged, sizeof damaged, "%s.damaged", path);
  os_remove(damaged);
}

static void check_flips(void) {
  uint64_t sizes[TURNS + 1];
  size_t bytes, results[TURNS + 1] = {0};
  char *data = check_read_file(play_all("flips.session", sizes), &bytes);
  const char *path = check_temp_file("flipped.session");
  /* State, 16 KiB of it at the end of each turn, is tried here and there. */
  for (size_t at = 0; at < bytes; at++) {
    size_t turn = 0;
    while (at >= sizes[turn]) turn++;
    bool in_state = turn > 0 && at > sizes[turn - 1] + 600 && at + 8 < sizes[turn];
    check_flip(path, data, bytes, at, (int)(at % 8), results);
    if (in_state) at = at + 1009 + 8 < sizes[turn] ? at + 1009 : sizes[turn] - 9;
  }
  /* All kinds of outcome were seen. */
  CHECK(results[0] > 24 && results[1] > 0 && results[2] > 0 && results[3] > 0);
  free(data);
}

/* What is dropped because of damage is kept beside the session. */
static void check_damaged_tail(void) {
  uint64_t sizes[TURNS + 1];
  const char *path = play_all("damaged.session", sizes);
  size_t bytes, kept_bytes;
  char *data = check_read_file(path, &bytes), expected[1200], kept[600];
  data[sizes[1] + 45] ^= 1; /* in the events of turn 2 */
  check_write_file(path, data, bytes);
  session_journal *journal = open_or_die(path);
  snprintf(kept, sizeof kept, "%s.damaged", path);
  snprintf(expected, sizeof expected,
           "%s: damaged at byte %llu; the %llu bytes from there on were dropped and are kept in "
           "%s\n",
           path, (unsigned long long)sizes[1], (unsigned long long)(bytes - sizes[1]), kept);
  CHECK_EQ_STR(notices, expected);
  CHECK_EQ_INT(state_of(journal), 1);
  CHECK_EQ_INT(size_of(path), sizes[1]);
  char *tail = check_read_file(kept, &kept_bytes);
  CHECK(kept_bytes == bytes - sizes[1] && memcmp(tail, data + sizes[1], kept_bytes) == 0);
  free(tail);
  session_journal_close(journal);
  free(data);
}

/* Damage in the state itself costs nothing but time, and heals. */
static void check_damaged_state(void) {
  uint64_t sizes[TURNS + 1];
  const char *path = play_all("state.session", sizes);
  size_t bytes;
  char *data = check_read_file(path, &bytes), expected[700];
  data[sizes[2] - 5] ^= 64;
  check_write_file(path, data, bytes);
  free(data);
  session_journal *journal = open_or_die(path);
  CHECK_EQ_INT(state_of(journal), 3);
  gust_error err;
  size_t count;
  CHECK_EQ_INT(session_journal_restore(journal, resumed, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 4);
  snprintf(expected, sizeof expected,
           "%s: 1 records of the saved cache are damaged; 4 positions were restored, the messages "
           "after them are read again\n",
           path);
  CHECK_EQ_STR(notices, expected);
  int32_t ids[] = {410, 411, 420, 421, 422, 423};
  CHECK_EQ_INT(gust_context_feed(resumed, ids, 6, NULL, NULL, &err), GUST_OK);
  commit_or_die(journal, resumed);
  session_journal_close(journal);
  gust_context_truncate(resumed, 0);
  journal = open_or_die(path);
  CHECK_EQ_INT(check_restored(journal, 3), 10);
  CHECK_EQ_INT(notice_count, 0);
  session_journal_close(journal);
}

/* A record that builds on a damaged one must not be joined to an older way of the
 * same length: positions 4 to 8 are gone, 6 on would go on from others. */
static void check_damaged_base(void) {
  static const int32_t ids[] = {1, 400, 401, 402, 410, 411, 412, 413};
  const char *path = check_temp_file("base.session");
  gust_error err;
  session_journal *journal = open_or_die(path);
  uint64_t second = 0;
  gust_context_truncate(reference, 0);
  for (size_t turn = 0; turn < 3; turn++) {
    int32_t way[8];
    for (size_t i = 0; i < 8; i++)
      way[i] = ids[i] + (int32_t)(turn > 0 && i >= 4 ? 100 * (i >= 6 ? turn : 1) : 0);
    size_t keep = gust_context_truncate(reference, turn == 0 ? 0 : turn == 1 ? 4 : 6);
    if (turn == 1) second = size_of(path);
    if (gust_context_feed(reference, way + keep, 8 - keep, NULL, NULL, &err))
      check_fatal("feed", err.text);
    commit_or_die(journal, reference);
  }
  session_journal_close(journal);
  size_t bytes, count;
  char *data = check_read_file(path, &bytes);
  data[second + 50] ^= 1; /* in the payload */
  check_write_file(path, data, bytes);
  free(data);
  session_summary summary;
  CHECK_EQ_INT(session_summary_read(&summary, path, &err), GUST_OK);
  CHECK(summary.spoiled && !summary.damaged);
  session_summary_clear(&summary);
  journal = open_or_die(path);
  CHECK_EQ_INT(session_journal_restore(journal, resumed, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 8);
  CHECK(memcmp(gust_context_ids(resumed), ids, sizeof ids) == 0);
  CHECK_EQ_INT(notice_count, 1);
  session_journal_close(journal);
  gust_context_truncate(resumed, 0);
}

static void check_refusals(void) {
  gust_error err;
  session_journal *journal, *second;
  const char *path = check_temp_file("notes.txt");
  static const char text[] = "dear diary, this is no session but must survive\n";
  char expected[700];
  check_write_file(path, text, strlen(text));
  host_set_mode(path, 0644);
  CHECK_EQ_INT(session_journal_open(&journal, path, model, &options, &err), GUST_E_FORMAT);
  CHECK(host_has_mode(path, 0644));
  snprintf(expected, sizeof expected,
           "%s: this is no session of gust chat; it is left as it is: give another --session",
           path);
  CHECK_EQ_STR(err.text, expected);
  CHECK(journal == NULL);
  size_t bytes;
  char *data = check_read_file(path, &bytes);
  CHECK_EQ_STR(data, text);
  free(data);
  check_write_file(path, "GUST", 4);
  CHECK_EQ_INT(session_journal_open(&journal, path, model, &options, &err), GUST_E_FORMAT);
  CHECK_EQ_INT(size_of(path), 4);
  CHECK_EQ_INT(session_journal_open(&journal, check_temp(), model, &options, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, ": cannot open or create the session: Is a directory");
  path = check_temp_file("no/such/folder.session");
  CHECK_EQ_INT(session_journal_open(&journal, path, model, &options, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, ": cannot open or create the session: No such file or directory");
  /* Two chats. */
  path = check_temp_file("locked.session");
  journal = open_or_die(path);
  CHECK_EQ_INT(session_journal_open(&second, path, model, &options, &err), GUST_E_IO);
  snprintf(expected, sizeof expected,
           "%s: another chat has this session open; end that one or give another --session", path);
  CHECK_EQ_STR(err.text, expected);
  session_journal_close(journal);
  second = open_or_die(path);
  CHECK_EQ_INT(state_of(second), 0);
  session_journal_close(second);
  /* A newer format. */
  data = check_read_file(path, &bytes);
  data[8] = 9;
  check_write_file(path, data, bytes);
  free(data);
  CHECK_EQ_INT(session_journal_open(&journal, path, model, &options, &err), GUST_E_UNSUPPORTED);
  CHECK_CONTAINS(err.text, ": expected version 1 of a session, found 9; a newer gust wrote it");
}

static void check_other_model(void) {
  uint64_t sizes[TURNS + 1];
  const char *path = play_all("model.session", sizes);
  gust_model *other = demo_model_open("q8");
  gust_error err;
  session_journal *journal;
  session_options allowed = options;
  allowed.model_name = "demo-q8.gust";
  forget_notices();
  CHECK_EQ_INT(session_journal_open(&journal, path, other, &allowed, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, ": this session was held with another model, demo-q4.gust (");
  CHECK_CONTAINS(err.text, "), not demo-q8.gust (");
  CHECK_CONTAINS(err.text,
                 "; use that one, go on with this one by --other-model, or give another "
                 "--session");
  CHECK_EQ_INT(size_of(path), sizes[3]);
  allowed.other_model = true;
  CHECK_EQ_INT(session_journal_open(&journal, path, other, &allowed, &err), GUST_OK);
  CHECK_CONTAINS(notices, "was held with another model, demo-q4.gust; its messages are read again");
  CHECK_EQ_INT(state_of(journal), 3);
  gust_context *context = context_or_die(other, NULL);
  size_t count = 99;
  CHECK_EQ_INT(session_journal_restore(journal, context, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 0);
  CHECK_CONTAINS(notices, "it holds no cache for this model");
  commit_or_die(journal, NULL);
  session_journal_close(journal);
  gust_context_destroy(context);
  /* From now on it is the other model's. */
  CHECK_EQ_INT(session_journal_open(&journal, path, model, &options, &err), GUST_E_ARGUMENT);
  allowed.other_model = false;
  CHECK_EQ_INT(session_journal_open(&journal, path, other, &allowed, &err), GUST_OK);
  session_journal_close(journal);
  /* One in which nothing was said is whoever's wants it. */
  path = check_temp_file("nothing.session");
  session_journal_close(open_or_die(path));
  CHECK_EQ_INT(session_journal_open(&journal, path, other, &allowed, &err), GUST_OK);
  CHECK_EQ_INT(notice_count, 0);
  CHECK_EQ_INT(session_journal_add_message(journal, "user", "now", 3, &err), GUST_OK);
  commit_or_die(journal, NULL);
  session_journal_close(journal);
  CHECK_EQ_INT(session_journal_open(&journal, path, model, &options, &err), GUST_E_ARGUMENT);
  CHECK_CONTAINS(err.text, ": this session was held with another model, demo-q8.gust (");
  gust_model_close(other);
}

/* Each key-value type has its own cache in the file. */
static void check_other_kv(void) {
  uint64_t sizes[TURNS + 1];
  const char *path = play_all("kv.session", sizes);
  gust_error err;
  size_t count = 99;
  gust_context *context = context_or_die(model, &(gust_context_options){.kv = GUST_KV_Q8});
  session_journal *journal = open_or_die(path);
  CHECK_EQ_INT(session_journal_restore(journal, context, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 0);
  CHECK_CONTAINS(notices, "it holds no cache for this model, --kv, --ctx and version of gust");
  int32_t ids[] = {1, 400};
  CHECK_EQ_INT(gust_context_feed(context, ids, 2, NULL, NULL, &err), GUST_OK);
  commit_or_die(journal, context);
  session_journal_close(journal);
  journal = open_or_die(path);
  CHECK_EQ_INT(check_restored(journal, 3), 10);
  gust_context_truncate(context, 0);
  CHECK_EQ_INT(session_journal_restore(journal, context, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, 2);
  CHECK_EQ_INT(session_journal_restore(journal, context, &count, &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(notice_count, 0);
  session_journal_close(journal);
  gust_context_destroy(context);
}

/* --- a full disk --------------------------------------------------------------------------- */

static void check_full_disk(void) {
  gust_error err;
  const char *path = check_temp_file("full.session");
  session_journal *journal;
  if (!host_limit_files(30)) {
    check_part_skipped("a full disk", "no file can be limited");
    return;
  }
  CHECK_EQ_INT(session_journal_open(&journal, path, model, &options, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, ": cannot write the session: File too large");
  CHECK(!host_exists(path)); /* no empty file is left behind */
  host_limit_files(HOST_NO_LIMIT);
  journal = open_or_die(path);
  gust_context_truncate(reference, 0);
  uint64_t before = size_of(path);
  host_limit_files(before + 60);
  add(journal, 1, 0);
  add(journal, 1, 1);
  CHECK_EQ_INT(session_journal_commit(journal, NULL, &err), GUST_E_IO);
  CHECK_EQ_INT(size_of(path), before);
  CHECK(session_journal_is_pending(journal));
  /* Room for the events but not for the cache. */
  host_limit_files(before + 400);
  CHECK_EQ_INT(session_journal_add_setting(journal, "state", "1", &err), GUST_OK);
  add(journal, 1, 2);
  feed(reference, 0);
  commit_or_die(journal, reference);
  CHECK_CONTAINS(notices,
                 "the messages are saved, the cache is not: resuming will read them again");
  CHECK(!session_journal_is_pending(journal) && size_of(path) < before + 400);
  host_limit_files(HOST_NO_LIMIT);
  forget_notices();
  commit_or_die(journal, reference);
  session_journal_close(journal);
  journal = open_or_die(path);
  CHECK_EQ_INT(state_of(journal), 1);
  CHECK_EQ_INT(check_restored(journal, 1), 4);
  CHECK_EQ_INT(notice_count, 0);
  session_journal_close(journal);
}

/* An opened file that was not written to goes with its closing, and with that alone. */
static void check_unused(void) {
  gust_error err;
  session_file first, second;
  uint64_t bytes;
  const char *path = check_temp_file("unused.session");
  CHECK_EQ_INT(session_file_open(&first, path, true, &err), GUST_OK);
  CHECK_EQ_INT(session_file_open(&second, path, true, &err), GUST_E_IO);
  session_file_close(&second);
  CHECK(os_is_at(first.handle, path));
  session_file_close(&first);
  CHECK_EQ_INT(os_open_read(path, &bytes), -1);
#ifndef _WIN32 /* there the name of an open file cannot be taken by another */
  CHECK_EQ_INT(session_file_open(&first, path, true, &err), GUST_OK);
  os_remove(path);
  CHECK_EQ_INT(session_file_open(&second, path, true, &err), GUST_OK);
  session_file_close(&first);
  CHECK(os_is_at(second.handle, path));
  session_file_close(&second);
#endif
}

int main(void) {
  gust_model *opened = demo_model_open("q4");
  model = opened;
  reference = context_or_die(model, &(gust_context_options){.threads = 1});
  resumed = context_or_die(model, &(gust_context_options){.threads = 1});
  check_whole();
  check_torn();
  check_torn_goes_on();
  check_flips();
  check_damaged_tail();
  check_damaged_state();
  check_damaged_base();
  check_refusals();
  check_other_model();
  check_other_kv();
  check_full_disk();
  check_unused();
  gust_context_destroy(reference);
  gust_context_destroy(resumed);
  gust_model_close(opened);
  return check_finish();
}
