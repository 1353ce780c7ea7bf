#define _POSIX_C_SOURCE 200809L

#include "chat_complete.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "chat_commands.h"
#include "chat_transcript.h"

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

static bool is_folder(const char *folder, const char *name) {
  char path[4096];
  struct stat info;
  int length = snprintf(path, sizeof path, "%s/%s", folder, name);
  return length > 0 && (size_t)length < sizeof path && stat(path, &info) == 0 &&
         S_ISDIR(info.st_mode);
}

/* `word` is "FOLDER/BEGINNING" or "BEGINNING"; an offer repeats the folder as it was
 * spelled. Hidden files are offered to who begins with a dot. */
static void offer_files(const char *word, completion_list *list) {
  const char *slash = strrchr(word, '/'), *begin = slash ? slash + 1 : word;
  size_t folder_bytes = (size_t)(begin - word), begin_bytes = strlen(begin);
  char spelled[2048], offer[4096];
  if (folder_bytes >= sizeof spelled) return;
  memcpy(spelled, word, folder_bytes);
  spelled[folder_bytes] = 0;
  char *folder = chat_transcript_path(folder_bytes ? spelled : ".");
  DIR *stream = folder ? opendir(folder) : NULL;
  for (struct dirent *entry; stream && (entry = readdir(stream));) {
    const char *name = entry->d_name;
    if (strncmp(name, begin, begin_bytes) != 0 || !is_plain_name(name)) continue;
    if (name[0] == '.' && begin[0] != '.') continue;
    if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
    int length =
        snprintf(offer, sizeof offer, "%s%s%s", spelled, name, is_folder(folder, name) ? "/" : "");
    if (length > 0 && (size_t)length < sizeof offer) completion_offer(list, offer);
  }
  if (stream) closedir(stream);
  free(folder);
}

static const chat_command *command_of(const char *line, size_t name_bytes) {
  for (const chat_command *command = chat_commands; command->name; command++)
    if (strlen(command->name) == name_bytes && !memcmp(command->name, line + 1, name_bytes))
      return command;
  return NULL;
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
  const chat_command *command = command_of(line, name_end - 1);
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
