/* Where sessions lie, and the list of them. */
#include "cli/session_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "host.h"
#include "os.h"

static const gust_model *model;

static void check_paths(void) {
  gust_error err;
  char *path;
  char expected[600];
  host_set_env("XDG_STATE_HOME", check_temp_file("state"));
  CHECK_EQ_INT(session_path(&path, "./here", &err), GUST_OK);
  CHECK_EQ_STR(path, "./here");
  free(path);
  snprintf(expected, sizeof expected, "%s/gust/sessions/fox.session", check_temp_file("state"));
  CHECK_EQ_INT(session_path(&path, "fox", &err), GUST_OK);
  CHECK_EQ_STR(path, expected);
  free(path);
  CHECK_EQ_INT(session_path(&path, "fox.session", &err), GUST_OK);
  CHECK_EQ_STR(path, expected);
  free(path);
  static const char *const bad[] = {"", ".", "..", ".hidden", "a\nb"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_EQ_INT(session_path(&path, bad[i], &err), GUST_E_ARGUMENT);
    CHECK(path == NULL);
  }
  check_write_file(check_temp_file("a-file"), "x", 1);
  host_set_env("XDG_STATE_HOME", check_temp_file("a-file"));
  CHECK_EQ_INT(session_path(&path, "fox", &err), GUST_E_IO);
  CHECK_CONTAINS(err.text,
                 ": cannot make the folder for sessions: Not a directory; give a file with a slash "
                 "in its name: --session ./FILE");
}

static bool list_entry(void *user, const session_entry *entry) {
  char *text = user;
  size_t used = strlen(text);
  if (entry->summary)
    snprintf(text + used, 2000 - used, "%s|%s|%s|%zu|%d\n", entry->name, entry->summary->model_name,
             entry->summary->first_line, entry->summary->messages, entry->summary->damaged);
  else
    snprintf(text + used, 2000 - used, "%s|%s\n", entry->name, strstr(entry->problem, "this is"));
  return false;
}

static void put_session(const char *name, const char *question, bool torn) {
  gust_error err;
  char *path;
  if (session_path(&path, name, &err)) check_fatal("path", err.text);
  session_journal *journal;
  const session_options options = {.model_name = "demo-q4.gust"};
  if (session_journal_open(&journal, path, model, &options, &err)) check_fatal("open", err.text);
  CHECK(session_journal_is_new(journal) || torn);
  if (question) session_journal_add_message(journal, "user", question, strlen(question), &err);
  if (session_journal_commit(journal, NULL, &err)) check_fatal("commit", err.text);
  session_journal_close(journal);
  if (torn) check_cut_file(path, check_file_bytes(path) - 1);
  free(path);
}

static void check_list(void) {
  gust_error err;
  char text[2000] = "", *folder, *path;
  host_set_env("XDG_STATE_HOME", check_temp_file("list"));
  CHECK_EQ_INT(session_list(list_entry, text, &folder, &err), GUST_OK);
  CHECK_EQ_STR(text, "");
  CHECK_CONTAINS(folder, "/list/gust/sessions");
  free(folder);
  put_session("b", "\n Tell me\tabout \x1b[31m foxes\nand more", false);
  put_session("c", NULL, false);
  put_session("d", "lost", true);
  char line[200] = "";
  for (int i = 0; i < 61; i++) strcat(line, "\xc3\xa9");
  put_session("e", line, false);
  if (session_path(&path, "a", &err)) check_fatal("path", err.text);
  check_write_file(path, "some other file of that name", 28);
  free(path);
  static const char *const names[] = {"a", "b", "c", "d", "e"};
  for (size_t i = 0; i < 5; i++) { /* one changed after the other, a last */
    session_path(&path, names[i], &err);
    if (!host_set_changed(path, 2000000 - (int64_t)i, 0)) check_fatal("time of change", path);
    free(path);
  }
  CHECK_EQ_INT(session_list(list_entry, text, NULL, &err), GUST_OK);
  char expected[2000];
  line[120] = 0;
  snprintf(expected, sizeof expected,
           "a|this is no session of gust chat; it is left as it is: give another --session\n"
           "b|demo-q4.gust|Tell me?about ?[31m foxes|1|0\n"
           "c|demo-q4.gust||0|0\n"
           "d|demo-q4.gust||0|1\n"
           "e|demo-q4.gust|%s...|1|0\n",
           line);
  CHECK_EQ_STR(text, expected);
}

/* A record that is not whole may be on its way, as long as a chat has the session open. */
static void check_held(void) {
  gust_error err;
  char text[2000] = "", *path;
  size_t bytes;
  host_set_env("XDG_STATE_HOME", check_temp_file("held"));
  put_session("f", "here", false);
  if (session_path(&path, "f", &err)) check_fatal("path", err.text);
  put_session("f", "there", true); /* a second message, without its last byte */
  session_journal *journal;
  const session_options options = {.model_name = "demo-q4.gust"};
  char *torn = check_read_file(path, &bytes);
  if (session_journal_open(&journal, path, model, &options, &err)) check_fatal("open", err.text);
  uint64_t whole = check_file_bytes(path);
  os_file file = os_open_update(path, &(uint64_t){0});
  CHECK(os_write_at(file, torn + whole, bytes - whole, whole));
  os_close(file);
  CHECK_EQ_INT(session_list(list_entry, text, NULL, &err), GUST_OK);
  CHECK_EQ_STR(text, "f|demo-q4.gust|here|1|0\n");
  session_journal_close(journal);
  text[0] = 0;
  CHECK_EQ_INT(session_list(list_entry, text, NULL, &err), GUST_OK);
  CHECK_EQ_STR(text, "f|demo-q4.gust|here|1|1\n");
  free(torn);
  free(path);
}

int main(void) {
  gust_model *opened = demo_model_open("q4");
  model = opened;
  check_paths();
  check_list();
  check_held();
  gust_model_close(opened);
  return check_finish();
}
