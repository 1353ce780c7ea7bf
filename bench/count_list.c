#include "count_list.h"

#include <string.h>

#include "cli/options.h"

bool count_list_read(count_list *list, const char *text, size_t most) {
  list->count = 0;
  for (;;) {
    char number[24];
    size_t length = strcspn(text, ",");
    uint64_t value;
    if (length >= sizeof number || list->count == COUNT_LIST_MOST) return false;
    memcpy(number, text, length);
    number[length] = 0;
    if (!options_read_count(number, &value) || value > most) return false;
    list->values[list->count++] = (size_t)value;
    if (!text[length]) return true;
    text += length + 1;
  }
}
