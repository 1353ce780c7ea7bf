/* A JSON file of a checkpoint folder, read and parsed. */
#ifndef GUST_JSON_FILE_H
#define GUST_JSON_FILE_H

#include "json.h"
#include "whole_file.h"

typedef struct json_file {
  char *path;
  whole_file text;
  json_document *doc;
  const json_value *root; /* an object; NULL when the file is absent */
} json_file;

/* "FOLDER/NAME", to be freed; NULL when memory is short. */
char *path_join(const char *folder, const char *name);

/* Whether there is a file of that name, readable or not. */
bool path_exists(const char *path);

/* Opens FOLDER/NAME, whose root must be an object with unique keys. An absent
 * file is an error when `required`; else root is NULL and the rest of json.h
 * finds nothing in it. *file is to be closed in every case. */
gust_status json_file_open(json_file *file, const char *folder, const char *name, bool required,
                           gust_error *err);
void json_file_close(json_file *file);

#endif
