/* Files that are written beside their place and renamed: sessions that would grow without
 * bound, transcripts, and what a conversion makes. At every call to the system the process is
 * killed, or the call fails: what was said is there afterwards, and of the cache what was saved
 * before. The linker leads the calls to this test. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "checkpoint_maker.h"
#include "cli/chat_transcript.h"
#include "cli/commands.h"
#include "cli/session_journal.h"
#include "cli/session_records.h"
#include "cli/terminal.h"
#include "convert.h"
#include "demo_model.h"
#include "host.h"
#include "os.h"
#include "run_program.h"

#define POSITIONS 100
#define ROUNDS 40u
#define BLOAT_BYTES ((uint64_t)4 << 20) /* docs/SESSIONS.md */

/* --- the calls ------------------------------------------------------------------------- */

typedef enum fault { NONE, KILLED_BEFORE, KILLED_AFTER, FAILING } fault;

static fault planned;
static long countdown; /* the call that brings it to 0 is the one */
static long lasting;   /* so many calls from there on */
static long syncs_at_rename, syncs, renames;
static bool unsynced;     /* something was written to a file of os.h */
static bool cut_unsynced; /* and then it was cut */

/* NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's. */
bool __real_os_write_at(os_file file, const void *data, size_t bytes, uint64_t offset);
bool __real_os_truncate(os_file file, uint64_t bytes);
bool __real_os_sync(os_file file);
bool __real_os_sync_stream(FILE *file);
bool __real_os_rename(const char *from, const char *to);
bool __real_os_remove(const char *path);
os_file __real_os_create_private(const char *path);
bool __wrap_os_write_at(os_file file, const void *data, size_t bytes, uint64_t offset);
bool __wrap_os_truncate(os_file file, uint64_t bytes);
bool __wrap_os_sync(os_file file);
bool __wrap_os_sync_stream(FILE *file);
bool __wrap_os_rename(const char *from, const char *to);
bool __wrap_os_remove(const char *path);
os_file __wrap_os_create_private(const char *path);

static void plan(fault what, long call) {
  planned = what;
  countdown = call;
  lasting = 1;
}

/* What happens to this call. */
static fault take_fault(void) {
  if (planned == NONE || --countdown > 0 || countdown <= -lasting) return NONE;
  errno = ENOSPC;
  return planned;
}

/* `call` declares a result that the caller returns. */
#define WITH_FAULT(call, failure)     \
  fault f = take_fault();             \
  if (f == KILLED_BEFORE) host_die(); \
  if (f == FAILING) return failure;   \
  call;                               \
  if (f == KILLED_AFTER) host_die();

/* Killed while it writes, half of it is written. */
bool __wrap_os_write_at(os_file file, const void *data, size_t bytes, uint64_t offset) {
  fault f = take_fault();
  unsynced = true;
  if (f == FAILING) return false;
  bool done = __real_os_write_at(file, data, f == KILLED_BEFORE ? bytes / 2 : bytes, offset);
  if (f != NONE) host_die();
  return done;
}

bool __wrap_os_truncate(os_file file, uint64_t bytes) {
  cut_unsynced = cut_unsynced || unsynced;
  unsynced = true;
  return __real_os_truncate(file, bytes);
}

bool __wrap_os_sync(os_file file) {
  WITH_FAULT(bool done = __real_os_sync(file), false)
  unsynced = false;
  return done;
}

bool __wrap_os_sync_stream(FILE *file) {
  syncs++;
  WITH_FAULT(bool done = __real_os_sync_stream(file), false)
  return done;
}

bool __wrap_os_rename(const char *from, const char *to) {
  syncs_at_rename = syncs;
  renames++;
  CHECK(!unsynced);
  WITH_FAULT(bool done = __real_os_rename(from, to), false)
  return done;
}

bool __wrap_os_remove(const char *path) {
  WITH_FAULT(bool done = __real_os_remove(path), false)
  return done;
}

os_file __wrap_os_create_private(const char *path) {
  WITH_FAULT(os_file file = __real_os_create_private(path), -1)
  return file;
}

/* NOLINTEND(bugprone-reserved-identifier) */

/* --- sessions ------------------------------------------------------------------------------ */

static const char *self; /* the path of this program */
static gust_model *model;
static gust_context *context, *resumed;
static size_t state_bytes; /* of POSITIONS */
static char notices[4096];
static size_t notice_count;

static void take_notice(void *user, const char *line) {
  (void)user;
  notice_count++;
  strncat(notices, line, sizeof notices - strlen(notices) - 1);
}

static session_journal *open_or_die(const char *path) {
  static const session_options options = {.model_name = "demo-q4.gust", .notice = take_notice};
  gust_error err;
  session_journal *journal;
  notices[0] = 0;
  notice_count = 0;
  if (session_journal_open(&journal, path, model, &options, &err)) check_fatal("open", err.text);
  return journal;
}

static void start(void) {
  const gust_context_options options = {.positions = 2 * POSITIONS, .threads = 1};
  model = demo_model_open("q4");
  context = context_or_die(model, &options);
  resumed = context_or_die(model, &options);
  state_bytes = gust_context_state_bytes(context, 0, POSITIONS);
}

static void finish(void) {
  gust_context_destroy(context);
  gust_context_destroy(resumed);
  gust_model_close(model);
}

/* A sequence that shares not even its beginning with that of another number. Nothing is
 * computed: any state is as good. */
static void fill(gust_context *to, unsigned number, int32_t ids[POSITIONS], uint8_t *state) {
  gust_error err;
  for (unsigned i = 0; i < POSITIONS; i++) ids[i] = (int32_t)(300 + (number * 7 + i) % 3000);
  size_t bytes = gust_context_state_bytes(to, 0, POSITIONS);
  for (size_t i = 0; i < bytes; i++) state[i] = (uint8_t)(i % 251 + number) & 0x3f;
  gust_context_truncate(to, 0);
  if (gust_context_load_state(to, ids, 0, POSITIONS, state, bytes, &err))
    check_fatal("state", err.text);
}

/* A turn after which nothing of the cache before counts. */
static gust_status play(session_journal *journal, unsigned number) {
  gust_error err;
  char text[32];
  int32_t ids[POSITIONS];
  uint8_t *state = malloc(state_bytes);
  if (!state) check_fatal("out of memory", "state");
  fill(context, number, ids, state);
  free(state);
  snprintf(text, sizeof text, "turn %u", number);
  CHECK_EQ_INT(session_journal_add_message(journal, "user", text, strlen(text), &err), GUST_OK);
  CHECK_EQ_INT(session_journal_add_message(journal, "assistant", "", 0, &err), GUST_OK);
  CHECK_EQ_INT(session_journal_add_setting(journal, "turn", text, &err), GUST_OK);
  return session_journal_commit(journal, context, &err);
}

/* The number of the turn whose cache is restored, bit by bit; 0: of none. */
static unsigned restored(session_journal *journal, unsigned most) {
  gust_error err;
  size_t count = 0;
  int32_t ids[POSITIONS];
  uint8_t *want = malloc(state_bytes), *found = malloc(state_bytes);
  if (!want || !found) check_fatal("out of memory", "state");
  gust_context_truncate(resumed, 0);
  CHECK_EQ_INT(session_journal_restore(journal, resumed, &count, &err), GUST_OK);
  unsigned number = count == POSITIONS ? most : 0;
  if (number) gust_context_save_state(resumed, 0, POSITIONS, found, state_bytes, &err);
  for (; number > 0; number--) {
    fill(context, number, ids, want);
    if (memcmp(gust_context_ids(resumed), ids, sizeof ids) == 0 &&
        memcmp(found, want, state_bytes) == 0)
      break;
  }
  free(want);
  free(found);
  return number;
}

/* Whether it holds so many turns of play and nothing else. */
static bool holds(const session_journal *journal, unsigned turns) {
  char text[32] = "";
  const gust_message *messages = session_journal_messages(journal);
  if (session_journal_message_count(journal) != 2 * (size_t)turns) return false;
  for (unsigned i = 0; i < turns; i++) {
    int bytes = snprintf(text, sizeof text, "turn %u", i + 1);
    if (strcmp(messages[2 * i].role, "user") != 0 || messages[2 * i].bytes != (size_t)bytes ||
        memcmp(messages[2 * i].content, text, (size_t)bytes) != 0 ||
        strcmp(messages[2 * i + 1].role, "assistant") != 0 || messages[2 * i + 1].bytes != 0)
      return false;
  }
  const char *setting = session_journal_setting(journal, "turn");
  return setting && strcmp(setting, text) == 0;
}

static char *beside_of(const char *path) {
  size_t bytes = strlen(path) + sizeof ".rewrite";
  char *beside = malloc(bytes);
  if (!beside) check_fatal("out of memory", path);
  snprintf(beside, bytes, "%s.rewrite", path);
  return beside;
}

/* Turns until the next one has the file written anew; their number. */
static unsigned play_until_ripe(session_journal *journal, unsigned turns) {
  const char *path = session_journal_path(journal);
  while (check_file_bytes(path) <= 3 * (uint64_t)state_bytes + BLOAT_BYTES + 4096)
    CHECK_EQ_INT(play(journal, ++turns), GUST_OK);
  return turns;
}

/* However long it goes on, the file is a few times as long as what counts in it. */
static void check_bounded(void) {
  gust_error err;
  const char *path = check_temp_file("bounded.session");
  char *beside = beside_of(path);
  session_summary before, after;
  session_journal *journal = open_or_die(path), *second;
  CHECK_EQ_INT(session_summary_read(&before, path, &err), GUST_OK);
  unsigned rewritten = 0;
  for (unsigned turn = 1; turn <= ROUNDS; turn++) {
    uint64_t was = check_file_bytes(path);
    CHECK_EQ_INT(play(journal, turn), GUST_OK);
    uint64_t bytes = check_file_bytes(path);
    CHECK(bytes <= 4 * (uint64_t)state_bytes + BLOAT_BYTES + 16384);
    rewritten += bytes < was;
    /* Whichever file it is now, it is this chat's. */
    CHECK_EQ_INT(session_journal_open(&second, path, model, NULL, &err), GUST_E_IO);
    CHECK_CONTAINS(err.text, "another chat has this session open");
    CHECK(host_has_mode(path, 0600) && !host_exists(beside));
  }
  CHECK(rewritten >= 2);
  CHECK(holds(journal, ROUNDS));
  session_journal_close(journal);
  journal = open_or_die(path);
  CHECK(holds(journal, ROUNDS));
  CHECK_EQ_INT(restored(journal, ROUNDS), ROUNDS);
  CHECK_EQ_INT(notice_count, 0);
  CHECK_EQ_INT(session_summary_read(&after, path, &err), GUST_OK);
  CHECK(after.created == before.created && after.messages == 2 * ROUNDS && !after.damaged);
  session_summary_clear(&before);
  session_summary_clear(&after);
  session_journal_close(journal);
  free(beside);
}

/* A session that the next turn has written anew, and how many turns it holds. */
typedef struct ripe {
  char *data;
  size_t bytes;
  unsigned turns;
} ripe;

static ripe ripen(void) {
  ripe r;
  const char *path = check_temp_file("ripe.session");
  session_journal *journal = open_or_die(path);
  r.turns = play_until_ripe(journal, 0);
  session_journal_close(journal);
  r.data = check_read_file(path, &r.bytes);
  return r;
}

static bool run_killed(const char *path, fault what, long call, unsigned turn) {
  char words[3][24];
  snprintf(words[0], sizeof words[0], "%d", (int)what);
  snprintf(words[1], sizeof words[1], "%ld", call);
  snprintf(words[2], sizeof words[2], "%u", turn);
  const char *argv[] = {self, "--killed", path, words[0], words[1], words[2], NULL};
  run_result run = run_program(argv, "", 0);
  CHECK(run.code == 0 || run.code == HOST_KILLED);
  bool killed = run.code == HOST_KILLED;
  run_result_clear(&run);
  return killed;
}

static int be_killed(char **argv) {
  start();
  session_journal *journal = open_or_die(argv[2]);
  plan((fault)atoi(argv[3]), atol(argv[4]));
  gust_status status = play(journal, (unsigned)atoi(argv[5]));
  plan(NONE, 0);
  session_journal_close(journal);
  finish();
  return status ? 1 : 0;
}

/* Killed at any call: the turn is there or it is not, with the cache of before or of now. */
static void check_killed(const ripe *r) {
  const char *path = check_temp_file("killed.session");
  char *beside = beside_of(path);
  unsigned old = r->turns, now = old + 1, seen[3] = {0}, left_beside = 0;
  for (fault what = KILLED_BEFORE; what <= KILLED_AFTER; what++) {
    bool killed = true;
    for (long call = 1; killed; call++) {
      check_write_file(path, r->data, r->bytes);
      killed = run_killed(path, what, call, now);
      left_beside += host_exists(beside);
      session_journal *journal = open_or_die(path);
      CHECK(!host_exists(beside));
      CHECK(notice_count == 0 || strstr(notices, "its last record was not written to the end"));
      bool turned = holds(journal, now);
      unsigned cache = restored(journal, now);
      CHECK((turned || holds(journal, old)) && (cache == old || (turned && cache == now)));
      CHECK(killed || cache == now);
      if (killed) seen[turned + (cache == now)]++;
      CHECK_EQ_INT(play(journal, turned ? now + 1 : now), GUST_OK);
      session_journal_close(journal);
    }
  }
  /* The last two: renamed, with its mark and then without. */
  CHECK(seen[0] > 1 && seen[1] > 10 && seen[2] == 3 && left_beside > 10);
  free(beside);
}

/* Where a call fails the old file serves on; both ways the next turn finds all. */
static void check_failing(const ripe *r) {
  const char *path = check_temp_file("failing.session");
  char *beside = beside_of(path);
  unsigned now = r->turns + 1, kept = 0, shrunk = 0, refused = 0;
  bool failed = true;
  for (long call = 1; failed; call++) {
    check_write_file(path, r->data, r->bytes);
    session_journal *journal = open_or_die(path);
    plan(FAILING, call);
    gust_status status = play(journal, now);
    failed = countdown <= 0; /* else there were fewer calls */
    plan(NONE, 0);
    refused += status != GUST_OK;
    kept +=
        strstr(notices, "; the session's file cannot be written anew and keeps growing") != NULL;
    shrunk += check_file_bytes(path) < r->bytes;
    CHECK(!host_exists(beside));
    CHECK_EQ_INT(play(journal, now + 1), GUST_OK);
    CHECK(holds(journal, now + 1));
    session_journal_close(journal);
    journal = open_or_die(path);
    CHECK(holds(journal, now + 1));
    CHECK_EQ_INT(restored(journal, now + 1), now + 1);
    CHECK_EQ_INT(notice_count, 0);
    session_journal_close(journal);
  }
  CHECK(refused > 1 && kept > 5 && shrunk > 2);
  free(beside);
}

/* Something in the way is said once, and left alone. */
static void check_in_the_way(void) {
  char expected[700];
  const char *path = check_temp_file("blocked.session");
  char *beside = beside_of(path);
  CHECK(os_make_folder(beside));
  session_journal *journal = open_or_die(path);
  unsigned turns = play_until_ripe(journal, 0);
  CHECK_EQ_INT(notice_count, 0);
  CHECK_EQ_INT(play(journal, ++turns), GUST_OK);
  CHECK_EQ_INT(play(journal, ++turns), GUST_OK);
  snprintf(expected, sizeof expected, "%s: cannot create the session: ", beside);
  CHECK_CONTAINS(notices, expected);
  CHECK_EQ_INT(notice_count, 1);
  CHECK(os_is_folder(beside));
  session_journal_close(journal);
  journal = open_or_die(path);
  CHECK(holds(journal, turns));
  CHECK_EQ_INT(restored(journal, turns), turns);
  session_journal_close(journal);
  host_remove(beside);
  free(beside);
}

static void check_file_is(const char *path, const char *data, size_t bytes) {
  size_t found;
  char *text = check_read_file(path, &found);
  CHECK(found == bytes && memcmp(text, data, bytes) == 0);
  free(text);
}

/* Only what a killed chat can have left is removed: not somebody's notes, nor a session, whether
 * or not a chat has it open. */
static void check_beside(const ripe *r) {
  static const char notes[] = "GUSTS are due on Sunday: take the small boat.\n";
  static const char zeros[40], began[] = "GUSTCHAT\1\0\0";
  const struct {
    const char *data;
    size_t bytes;
    bool stays;
  } cases[] = {{notes, sizeof notes - 1, true},
               {r->data, r->bytes, true},
               {"", 0, false},
               {zeros, sizeof zeros, false},
               {began, sizeof began, false}};
  const char *path = check_temp_file("beside.session");
  char *beside = beside_of(path);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_write_file(path, r->data, r->bytes);
    check_write_file(beside, cases[i].data, cases[i].bytes);
    session_journal *journal = open_or_die(path), *other = NULL;
    CHECK_EQ_INT(host_exists(beside), cases[i].stays);
    if (cases[i].data == r->data) other = open_or_die(beside);
    CHECK_EQ_INT(play(journal, r->turns + 1), GUST_OK);
    CHECK_EQ_INT(notice_count, cases[i].stays);
    if (cases[i].stays) {
      CHECK_CONTAINS(notices,
                     "beside.session.rewrite: cannot create the session: File exists; the "
                     "session's file cannot be written anew and keeps growing");
      check_file_is(beside, cases[i].data, cases[i].bytes);
    }
    session_journal_close(other);
    session_journal_close(journal);
    os_remove(beside);
  }
  free(beside);
}

/* A file that was killed between its renaming and the end of its mark is a session like any
 * other; and one that is not renamed yet belongs to the chat that writes it. */
static void check_mark(const ripe *r) {
  gust_error err;
  const char *path = check_temp_file("marked.session");
  char *marked = malloc(r->bytes);
  if (!marked) check_fatal("out of memory", path);
  memcpy(marked, r->data, r->bytes);
  marked[12] = 'R';
  check_write_file(path, marked, r->bytes);
  os_file held = os_open_update(path, &(uint64_t){0});
  bool busy;
  CHECK(os_lock(held, &busy));
  session_file_remove_left(path);
  CHECK(host_exists(path));
  os_close(held);
  session_summary summary;
  CHECK_EQ_INT(session_summary_read(&summary, path, &err), GUST_OK);
  CHECK(summary.messages == 2 * (size_t)r->turns && !summary.damaged);
  session_summary_clear(&summary);
  session_journal *journal = open_or_die(path);
  CHECK(holds(journal, r->turns));
  CHECK_EQ_INT(notice_count, 0);
  session_journal_close(journal);
  check_file_is(path, r->data, r->bytes);
  check_write_file(path, marked, r->bytes);
  session_file_remove_left(path);
  CHECK(!host_exists(path));
  free(marked);
}

/* A link stays one. */
static void check_link(const ripe *r) {
  const char *target = check_temp_file("target.session"), *path = check_temp_file("link.session");
  check_write_file(target, r->data, r->bytes);
  if (!host_make_link(target, path)) {
    check_part_skipped("a session behind a link", "no link can be made");
    return;
  }
  session_journal *journal = open_or_die(path);
  CHECK_EQ_INT(play(journal, r->turns + 1), GUST_OK);
  CHECK_CONTAINS(notices, "link.session: a symbolic link, which that would replace; ");
  CHECK(os_is_link(path) && !os_is_link(target) && os_same_file(path, target));
  session_journal_close(journal);
}

/* The cache of another --kv counts as long as most of the file does. */
static void check_other_kv(bool replaces) {
  gust_error err;
  int32_t ids[POSITIONS];
  size_t count = 0;
  const char *path = check_temp_file("kv.session");
  uint8_t *state = malloc(state_bytes);
  gust_context *other = context_or_die(
      model, &(gust_context_options){.kv = GUST_KV_Q8, .positions = POSITIONS, .threads = 1});
  if (!state) check_fatal("out of memory", "state");
  fill(other, 1, ids, state);
  session_journal *journal = open_or_die(path);
  CHECK_EQ_INT(session_journal_commit(journal, other, &err), GUST_OK);
  unsigned turns = play_until_ripe(journal, 0);
  uint64_t bytes = check_file_bytes(path);
  CHECK_EQ_INT(play(journal, ++turns), GUST_OK);
  CHECK(check_file_bytes(path) > bytes);
  gust_context_truncate(other, 0);
  CHECK_EQ_INT(session_journal_restore(journal, other, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, POSITIONS);
  /* Then it is gone, and nothing is damaged. */
  for (bytes = 0; replaces && bytes <= check_file_bytes(path) && turns < 99;) {
    bytes = check_file_bytes(path);
    CHECK_EQ_INT(play(journal, ++turns), GUST_OK);
  }
  gust_context_truncate(other, 0);
  CHECK_EQ_INT(session_journal_restore(journal, other, &count, &err), GUST_OK);
  CHECK_EQ_INT(count, replaces ? 0 : POSITIONS);
  CHECK(!strstr(notices, "damaged"));
  CHECK_EQ_INT(restored(journal, turns), turns);
  session_journal_close(journal);
  gust_context_destroy(other);
  free(state);
}

/* Not so on Windows before 10 1709, and under wine. */
static bool replaces_open_files(void) {
  const char *open = check_temp_file("open"), *other = check_temp_file("other");
  os_file file = os_create_private(open);
  check_write_file(other, "x", 1);
  bool done = os_rename(other, open);
  os_close(file);
  os_remove(open);
  os_remove(other);
  return done;
}

static void check_sessions(void) {
  check_bounded();
  ripe r = ripen();
  check_killed(&r);
  check_failing(&r);
  check_beside(&r);
  check_mark(&r);
  check_link(&r);
  free(r.data);
}

/* --- leaving --------------------------------------------------------------------------------- */

#ifdef _WIN32
static void check_leaving(void) {
  check_part_skipped("a chat that leaves unsaved", "its standard input cannot be led to a file");
}
#else
/* A line that is answered while each call for writing fails, of so many. Returns the exit
 * code and, to be freed, what was said. */
static char *chat_failing(const char *path, long calls, int *code) {
  const char *input = check_temp_file("line.txt"), *said = check_temp_file("said.txt");
  char *words[] = {"chat", "--session", NULL, NULL, "--temp", "0", "--seed", "1", NULL};
  size_t bytes;
  char session[512], file[512];
  snprintf(session, sizeof session, "%s", path);
  snprintf(file, sizeof file, "%s", demo_model_path("q4"));
  words[2] = session;
  words[3] = file;
  check_write_file(input, "Hello!\n", 7);
  if (!freopen(input, "r", stdin)) check_fatal("no standard input", input);
  int out = host_redirect(stdout, check_temp_file("out.txt")), err = host_redirect(stderr, said);
  plan(calls ? FAILING : NONE, 1);
  lasting = calls;
  *code = command_chat.run(&command_chat, 7, words + 1);
  plan(NONE, 0);
  host_restore(stdout, out);
  host_restore(stderr, err);
  return check_read_file(said, &bytes);
}

/* What could not be saved is tried once more on the way out, and else called lost. */
static void check_leaving(void) {
  const char *path = check_temp_file("leaving.session");
  static const char fails[] = "; the chat goes on and saving is tried again\n";
  static const char again[] = "gust chat: the session is saved again\n";
  static const char lost[] =
      "leaving.session: cannot write the session: No space left on device; what was said since the "
      "session was saved last is lost\n";
  /* So many calls; the messages that are there afterwards. */
  static const struct {
    long calls;
    int code;
    size_t messages;
  } cases[] = {{0, 0, 2}, {2, 0, 4}, {1000, 1, 4}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int code;
    char *said = chat_failing(path, cases[i].calls, &code);
    CHECK_EQ_INT(code, cases[i].code);
    CHECK_EQ_INT(strstr(said, fails) != NULL, cases[i].calls > 0);
    CHECK_EQ_INT(strstr(said, again) != NULL, cases[i].calls == 2);
    CHECK_EQ_INT(strstr(said, lost) != NULL, cases[i].calls > 2);
    free(said);
    session_journal *journal = open_or_die(path);
    CHECK_EQ_INT(session_journal_message_count(journal), cases[i].messages);
    session_journal_close(journal);
  }
}
#endif

/* --- transcripts ----------------------------------------------------------------------------- */

/* On the disk before it takes the place of what was there, and nobody else's to read. */
static void check_transcript(void) {
  gust_error err;
  chat_messages messages = {0};
  const char *path = check_temp_file("kept.txt");
  size_t bytes, files = check_files_in(check_temp());
  CHECK_EQ_INT(chat_messages_add(&messages, "user", "Hello!", 6, &err), GUST_OK);
  syncs = syncs_at_rename = 0;
  unsynced = false; /* a mark may be lost */
  CHECK_EQ_INT(chat_transcript_save(&messages, path, &err), GUST_OK);
  CHECK_EQ_INT(syncs_at_rename, 1);
  CHECK(host_has_mode(path, 0600));
  CHECK_EQ_INT(chat_messages_add(&messages, "assistant", "Hi!", 3, &err), GUST_OK);
  plan(FAILING, 1);
  CHECK_EQ_INT(chat_transcript_save(&messages, path, &err), GUST_E_IO);
  CHECK_CONTAINS(err.text, "kept.txt: cannot write: No space left on device");
  plan(NONE, 0);
  char *text = check_read_file(path, &bytes);
  CHECK_EQ_STR(text, "--- user\nHello!\n");
  CHECK_EQ_INT(check_files_in(check_temp()), files + 1);
  free(text);
  chat_messages_clear(&messages);
}

/* --- conversions ----------------------------------------------------------------------------- */

/* The weights are on the disk before what says so is cut off, and all of the file is before
 * it takes the target's name. */
static void check_conversion(void) {
  const gust_convert_options options = {.type = GUST_TYPE_Q8, .threads = 1};
  gust_error err = {0};
  maker_model m = maker_small(false, true);
  const char *source = check_temp_file("source");
  maker_write(&m, source, "BF16", 1);
  unsynced = cut_unsynced = false;
  renames = 0;
  CHECK_EQ_INT(gust_convert(source, check_temp_file("made.gust"), &options, NULL, &err), GUST_OK);
  CHECK_EQ_STR(err.text, "");
  CHECK_EQ_INT(renames, 1);
  CHECK(!cut_unsynced);
  maker_free(&m);
}

int main(int argc, char **argv) {
  terminal_begin(&argc, &argv); /* UTF-8 in argv */
  if (argc == 6 && strcmp(argv[1], "--killed") == 0) return be_killed(argv);
  self = argv[0];
  start();
  bool replaces = replaces_open_files();
  if (replaces)
    check_sessions();
  else
    check_part_skipped("sessions written anew", "a file that is open cannot be replaced");
  check_in_the_way();
  check_other_kv(replaces);
  check_leaving();
  check_transcript();
  check_conversion();
  finish();
  return check_finish();
}
