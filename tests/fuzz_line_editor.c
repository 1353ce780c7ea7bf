/* libFuzzer: the input is what a terminal sends, in pieces; whatever it is, the
 * text stays within its bounds with the cursor between characters' bytes, and
 * the screen shows what a fresh one would. The first byte chooses the width. */
#include <stdlib.h>
#include <string.h>

#include "cli/edit_core.h"
#include "cli/edit_view.h"
#include "fuzz_support.h"
#include "screen.h"

/* The same beginnings for every line. */
static void offer(void *user, const char *line, size_t bytes, size_t cursor,
                  completion_list *list) {
  (void)user;
  fuzz_require(cursor <= bytes && line[bytes] == 0);
  list->begin = cursor / 2;
  completion_offer(list, "/help ");
  completion_offer(list, "/h\xc3\xa4");
}

typedef struct fuzzed {
  edit_core core;
  key_reader reader;
  edit_frame shown, fresh, out;
  screen seen, anew;
  unsigned columns;
} fuzzed;

static void look(fuzzed *f) {
  const edit_buffer *buffer = &f->core.buffer;
  char prompt[256] = "> ";
  edit_core_prompt(&f->core, prompt, sizeof prompt);
  edit_scene scene = {.prompt = prompt,
                      .text = buffer->text,
                      .bytes = buffer->bytes,
                      .cursor = buffer->cursor,
                      .columns = f->columns,
                      .most_rows = SCREEN_ROWS};
  edit_frame nothing = {0};
  edit_frame_make(&f->fresh, &scene);
  f->out.bytes = 0;
  edit_frame_change(&f->out, &f->shown, &f->fresh);
  if (f->out.data) screen_put(&f->seen, f->out.data, f->out.bytes);
  f->out.bytes = 0;
  edit_frame_change(&f->out, &nothing, &f->fresh);
  screen_begin(&f->anew, SCREEN_ROWS, f->columns);
  screen_put(&f->anew, f->out.data, f->out.bytes);
  fuzz_require(!f->seen.failed && f->seen.row >= f->fresh.cursor_row);
  fuzz_require(f->seen.column == f->fresh.cursor_column && f->fresh.rows <= SCREEN_ROWS);
  size_t top = f->seen.row - f->fresh.cursor_row;
  fuzz_require(screen_same(&f->seen, top, &f->anew, 0, f->fresh.rows));
  edit_frame old = f->shown;
  f->shown = f->fresh;
  f->fresh = old;
}

static void take_keys(fuzzed *f, bool waited) {
  key_event key;
  while (key_reader_next(&f->reader, waited, &key)) {
    edit_action action = edit_core_key(&f->core, &key);
    const edit_buffer *buffer = &f->core.buffer;
    fuzz_require(buffer->cursor <= buffer->bytes && buffer->bytes <= EDIT_MOST_BYTES);
    fuzz_require(!buffer->text || buffer->text[buffer->bytes] == 0);
    if (action == EDIT_ACCEPT) edit_core_begin(&f->core);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzzed *f = calloc(1, sizeof *f);
  history past = {0};
  gust_error err;
  if (!f) return 0;
  history_add(&past, "one", 3, &err);
  history_add(&past, "two\nlines \xe6\x97\xa5", 13, &err);
  f->core.past = &past;
  f->core.complete = offer;
  f->columns = size ? 1 + data[0] % SCREEN_COLUMNS : 80;
  screen_begin(&f->seen, SCREEN_ROWS, f->columns);
  edit_core_begin(&f->core);
  for (size_t at = 1; at < size;) {
    /* Pieces as long as their first byte says, which is one of them. */
    size_t piece = 1 + data[at] % 16;
    if (piece > size - at) piece = size - at;
    fuzz_require(key_reader_put(&f->reader, (const char *)data + at, piece));
    take_keys(f, false);
    look(f);
    at += piece;
  }
  take_keys(f, true);
  fuzz_require(!key_reader_is_amid(&f->reader));
  look(f);
  edit_core_clear(&f->core);
  key_reader_clear(&f->reader);
  edit_frame_clear(&f->shown);
  edit_frame_clear(&f->fresh);
  edit_frame_clear(&f->out);
  history_clear(&past);
  free(f);
  return 0;
}
