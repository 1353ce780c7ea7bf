/* The chat template's doorway: messages in, marked text out. */
#include "chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "jinja_eval.h"

/* A string every byte of which came from a message. */
static bool mark_all(jinja_session *j, jinja_string *s) {
  uint8_t *mark = jinja_alloc(j, s->count, 1);
  if (!mark) return false;
  memset(mark, 1, s->count);
  s->mark = mark;
  return true;
}

/* A role is the caller's word, not the user's; yet one that could spell a
 * special token is held to be text. */
static bool is_plain_role(jinja_string role) {
  for (size_t i = 0; i < role.count; i++)
    if (role.bytes[i] < 'a' || role.bytes[i] > 'z') return false;
  return true;
}

static bool set_field(jinja_session *j, jinja_dict *dict, const char *name, jinja_string text) {
  return jinja_dict_set(j, dict, jinja_str(jinja_text(name)), jinja_str(text));
}

static bool add_message(jinja_session *j, const gust_message *message, jinja_list *messages) {
  jinja_string role = jinja_text(message->role);
  jinja_string content = {message->bytes ? message->content : "", NULL, message->bytes};
  jinja_value dict;
  if (!is_plain_role(role) && !mark_all(j, &role)) return false;
  return mark_all(j, &content) && jinja_new_dict(j, &dict) &&
         set_field(j, dict.dict, "role", role) && set_field(j, dict.dict, "content", content) &&
         jinja_append(j, messages, dict);
}

static bool bind_input(jinja_session *j, const gust_template_input *input, jinja_scope *scope) {
  jinja_value messages;
  if (!jinja_new_list(j, &messages)) return false;
  for (size_t i = 0; i < input->message_count; i++)
    if (!add_message(j, &input->messages[i], messages.list)) return false;
  jinja_value open = jinja_bool(input->add_generation_prompt);
  return jinja_bind_name(j, scope, jinja_text("messages"), messages) &&
         jinja_bind_name(j, scope, jinja_text("add_generation_prompt"), open) &&
         jinja_bind_name(j, scope, jinja_text("bos_token"),
                         jinja_str(jinja_text(input->bos_token))) &&
         jinja_bind_name(j, scope, jinja_text("eos_token"),
                         jinja_str(jinja_text(input->eos_token)));
}

static bool render(jinja_session *j, const char *source, const gust_template_input *input,
                   jinja_builder *out) {
  jinja_token *tokens;
  jinja_node *body;
  jinja_scope *scope = jinja_new_scope(j, NULL);
  return scope && bind_input(j, input, scope) && jinja_lex(j, jinja_text(source), &tokens) &&
         jinja_parse(j, tokens, &body) && jinja_run(j, body, scope, out);
}

/* Turns marks into spans. With `spans` NULL they are only counted. */
static size_t find_spans(jinja_string s, gust_text_span *spans) {
  size_t count = 0;
  if (!s.mark) return 0;
  for (size_t at = 0; at < s.count;) {
    size_t end = at + 1;
    while (end < s.count && s.mark[end] == s.mark[at]) end++;
    if (s.mark[at]) {
      if (spans) spans[count] = (gust_text_span){at, end};
      count++;
    }
    at = end;
  }
  return count;
}

/* Copies the result out of the arena. */
static gust_status hand_out(jinja_string s, gust_rendered *rendered, gust_error *err) {
  rendered->literal_count = find_spans(s, NULL);
  size_t span_bytes = rendered->literal_count * sizeof *rendered->literal;
  rendered->text = malloc(s.count + 1);
  if (span_bytes) rendered->literal = malloc(span_bytes);
  if (!rendered->text || (span_bytes && !rendered->literal)) {
    gust_rendered_clear(rendered);
    return gust_fail_memory(err, "a rendered prompt", s.count + 1 + span_bytes);
  }
  memcpy(rendered->text, s.bytes, s.count);
  rendered->text[s.count] = 0;
  rendered->bytes = s.count;
  find_spans(s, rendered->literal);
  return GUST_OK;
}

gust_status gust_template_render(const char *source, const gust_template_input *input,
                                 gust_rendered *rendered, gust_error *err) {
  jinja_session j;
  jinja_builder out = {.limit = JINJA_MAX_OUTPUT};
  memset(rendered, 0, sizeof *rendered);
  jinja_begin(&j, err);
  gust_status status = GUST_OK;
  if (render(&j, source, input, &out))
    status = hand_out(jinja_built(&out), rendered, err);
  else
    status = j.status;
  jinja_end(&j);
  return status;
}

void gust_rendered_clear(gust_rendered *rendered) {
  free(rendered->text);
  free(rendered->literal);
  memset(rendered, 0, sizeof *rendered);
}
