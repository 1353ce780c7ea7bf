#include "chat_complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat_commands.h"
#include "chat_transcript.h"
#include "os.h"

static void offer_names(const char *word, size_t bytes, completion_list *list) {
  for (const chat_command *command = chat_commands; command->name; command++) {
    char offer[32];
    if (strncmp(command->name, word, bytes) != 0) continue;
    snprintf(offer, sizeof offer, "/%s%s", command->name, *command->argument ? " " : "");
    completion_offer(list, offer);
  }
}

static void offer_settings(const char *word, size_t bytes, completion_list *list) {
  for (const cli_option *option = sampling_options; option->name; option++) {
    char offer[32];
    if (strncmp(option->name, word, bytes) != 0) continue;
    snprintf(offer, sizeof offer, "%s ", option->name);
    completion_offer(list, offer);
  }
}

/* A name that would not read back as it looks is not offered. */
static bool is_plain_name(const char *name) {
  for (; *name; name++)
    if ((unsigned char)*name < 0x20 || *name == 0x7f) return false;
  return true;
}

static bool is_folder_in(const char *folder, const char *name) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/%s", folder, name);
  return length > 0 && (size_t)length < sizeof path && os_is_folder(path);
}

typedef struct file_offers {
  const char *spelled; /* the folder, as it was */
  const char *folder;
  const char *begin; /* of the name */
  completion_list *list;
} file_offers;

/* Hidden files are offered to who begins with a dot. */
static bool offer_file(void *user, const char *name) {
  const file_offers *offers = user;
  char offer[4096];
  if (strncmp(name, offers->begin, strlen(offers->begin)) != 0 || !is_plain_name(name))
    return false;
  if (name[0] == '.' && offers->begin[0] != '.') return false;
  int length = snprintf(offer, sizeof offer, "%s%s%s", offers->spelled, name,
                        is_folder_in(offers->folder, name) ? "/" : "");
  if (length > 0 && (size_t)length < sizeof offer) completion_offer(offers->list, offer);
  return false;
}

/* `word` is "FOLDER/BEGINNING" or "BEGINNING"; an offer repeats the folder as it was
 * spelled. */
static void offer_files(const char *word, completion_list *list) {
  const char *begin = os_file_name(word);
  size_t folder_bytes = (size_t)(begin - word);
  char spelled[2048];
  if (folder_bytes >= sizeof spelled) return;
  memcpy(spelled, word, folder_bytes);
  spelled[folder_bytes] = 0;
  char *folder = chat_transcript_path(folder_bytes ? spelled : ".");
  file_offers offers = {.spelled = spelled, .folder = folder, .begin = begin, .list = list};
  if (folder) os_list_folder(folder, offer_file, &offers);
  free(folder);
}

void chat_complete(void *user, const char *line, size_t bytes, size_t cursor,
                   completion_list *list) {
  (void)user, (void)bytes;
  if (cursor == 0 || line[0] != '/' || memchr(line, '\n', cursor)) return;
  size_t name_end = 1;
  while (name_end < cursor && line[name_end] != ' ') name_end++;
  if (name_end == cursor) {
    offer_names(line + 1, cursor - 1, list);
    return;
  }
  const chat_command *command = chat_commands_find(line + 1, name_end - 1);
  size_t begin = name_end;
  while (begin < cursor && line[begin] == ' ') begin++;
  list->begin = begin;
  char word[2048];
  if (!command || cursor - begin >= sizeof word) return;
  memcpy(word, line + begin, cursor - begin);
  word[cursor - begin] = 0;
  if (command->completes == CHAT_ARGUMENT_SETTING && !strchr(word, ' '))
    offer_settings(word, cursor - begin, list);
  if (command->completes == CHAT_ARGUMENT_FILE) offer_files(word, list);
}
