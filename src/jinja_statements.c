/* Statements: the tags a chat template is built of. */
#include "jinja_syntax.h"

/* Statements up to a tag whose word is one of `ends`, which is next (behind
 * its "{%") on return; NULL: up to the template's end. */
static bool parse_body(jinja_parser *p, const char *const *ends, jinja_node **body);

static bool expect_block_end(jinja_parser *p) {
  return jinja_expect(p, JINJA_T_BLOCK_END, "'%}'");
}

/* The end of a tag that opens a body, the body, and the tag's end of word
 * `end` in full. */
static bool parse_block(jinja_parser *p, const char *end, jinja_node **body) {
  const char *const ends[] = {end, NULL};
  if (!expect_block_end(p) || !parse_body(p, ends, body)) return false;
  p->token++;
  return expect_block_end(p);
}

static bool parse_if(jinja_parser *p, jinja_node *node) {
  static const char *const ends[] = {"elif", "else", "endif", NULL};
  static const char *const last[] = {"endif", NULL};
  jinja_chain branches = {0};
  node->type = JINJA_N_IF;
  for (bool more = true; more;) {
    jinja_node *branch = jinja_new_node(p, JINJA_N_BRANCH);
    if (!branch) return false;
    bool otherwise = branches.first && jinja_is(p->token[-1].text, "else");
    if (!otherwise && !(branch->first = jinja_parse_tuple(p, false))) return false;
    if (!expect_block_end(p) || !parse_body(p, otherwise ? last : ends, &branch->list))
      return false;
    jinja_chain_add(&branches, branch);
    more = !jinja_at_name(p, "endif");
    p->token++;
  }
  node->list = branches.first;
  return expect_block_end(p);
}

static bool parse_for(jinja_parser *p, jinja_node *node) {
  static const char *const ends[] = {"else", "endfor", NULL};
  node->type = JINJA_N_FOR;
  if (!(node->first = jinja_parse_target(p, false))) return false;
  if (!jinja_skip_name(p, "in")) return jinja_unexpected(p, "'in'");
  if (!(node->second = jinja_parse_tuple(p, false))) return false;
  if (jinja_skip_name(p, "if") && !(node->third = jinja_parse_expression(p, true))) return false;
  if (jinja_at_name(p, "recursive")) return jinja_unexpected(p, "a loop that is not recursive");
  p->loops++;
  bool done = expect_block_end(p) && parse_body(p, ends, &node->list);
  p->loops--;
  if (!done) return false;
  bool otherwise = jinja_at_name(p, "else");
  p->token++;
  return otherwise ? parse_block(p, "endfor", &node->fourth) : expect_block_end(p);
}

/* The block's text as an operand of the filters applied to it. */
static jinja_node *block_text(jinja_parser *p) {
  jinja_node *node = jinja_new_node(p, JINJA_N_NAME);
  if (node) node->name = jinja_text(JINJA_BLOCK_TEXT);
  return node;
}

static bool parse_set(jinja_parser *p, jinja_node *node) {
  if (!(node->first = jinja_parse_target(p, true))) return false;
  if (jinja_skip_token(p, JINJA_T_ASSIGN)) {
    node->type = JINJA_N_SET;
    return (node->second = jinja_parse_tuple(p, true)) && expect_block_end(p);
  }
  node->type = JINJA_N_SET_BLOCK;
  if (p->token->type == JINJA_T_PIPE && !(node->second = jinja_parse_filters(p, block_text(p))))
    return false;
  return parse_block(p, "endset", &node->list);
}

static bool parse_filter_block(jinja_parser *p, jinja_node *node) {
  node->type = JINJA_N_FILTERED;
  return (node->first = jinja_parse_filter(p, block_text(p))) &&
         parse_block(p, "endfilter", &node->list);
}

static bool parse_parameters(jinja_parser *p, jinja_node **list) {
  jinja_chain parameters = {0};
  if (!jinja_expect(p, JINJA_T_LPAREN, "'(' after the macro's name")) return false;
  while (!jinja_skip_token(p, JINJA_T_RPAREN)) {
    if (parameters.first && !jinja_expect(p, JINJA_T_COMMA, "',' or ')'")) return false;
    jinja_node *parameter = jinja_new_node(p, JINJA_N_ARGUMENT);
    if (!parameter) return false;
    parameter->name = p->token->text;
    if (!jinja_expect(p, JINJA_T_NAME, "a parameter's name")) return false;
    if (jinja_skip_token(p, JINJA_T_ASSIGN)) {
      if (!(parameter->first = jinja_parse_expression(p, true))) return false;
    } else if (parameters.last && parameters.last->first) {
      return jinja_unexpected(p, "a default for every parameter after one that has it");
    }
    jinja_chain_add(&parameters, parameter);
  }
  *list = parameters.first;
  return true;
}

static bool parse_macro(jinja_parser *p, jinja_node *node) {
  node->type = JINJA_N_MACRO;
  node->name = p->token->text;
  if (!jinja_expect(p, JINJA_T_NAME, "a macro's name")) return false;
  if (!parse_parameters(p, &node->first)) return false;
  unsigned loops = p->loops;
  p->loops = 0;
  bool done = parse_block(p, "endmacro", &node->list);
  p->loops = loops;
  return done;
}

/* {% generation %} tells a trainer which tokens are the assistant's; the text
 * inside is ordinary. */
static bool parse_generation(jinja_parser *p, jinja_node *node) {
  node->type = JINJA_N_SCOPE;
  return parse_block(p, "endgeneration", &node->list);
}

static bool parse_jump(jinja_parser *p, jinja_node *node) {
  bool stop = jinja_is(p->token[-1].text, "break");
  node->type = stop ? JINJA_N_BREAK : JINJA_N_CONTINUE;
  if (p->loops > 0) return expect_block_end(p);
  p->token--;
  return jinja_unexpected(p, "break and continue inside a for only");
}

/* The statement whose word is next. */
static bool parse_statement(jinja_parser *p, jinja_node *node) {
  static const struct {
    const char *word;
    bool (*parse)(jinja_parser *p, jinja_node *node);
  } statements[] = {{"if", parse_if},
                    {"for", parse_for},
                    {"set", parse_set},
                    {"macro", parse_macro},
                    {"filter", parse_filter_block},
                    {"generation", parse_generation},
                    {"break", parse_jump},
                    {"continue", parse_jump}};
  static const char *const strange[] = {"with",   "call",  "block",   "include",
                                        "import", "from",  "extends", "autoescape",
                                        "do",     "print", "trans"};
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
    if (jinja_skip_name(p, statements[i].word)) return statements[i].parse(p, node);
  for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
    if (!jinja_at_name(p, strange[i])) continue;
    p->j->line = p->token->line;
    return jinja_fail(p->j, GUST_E_UNSUPPORTED,
                      "expected if, for, set, macro, filter, break or continue, found the tag %s, "
                      "which gust does not know; rewrite the template without it",
                      strange[i]);
  }
  return jinja_unexpected(p, "if, for, set, macro, filter, break or continue");
}

/* "{%" and what it begins; *ended when it is one of `ends` instead. */
static bool parse_tag(jinja_parser *p, const char *const *ends, jinja_chain *body, bool *ended) {
  p->token++;
  for (; ends && *ends && !*ended; ends++) *ended = jinja_at_name(p, *ends);
  if (*ended) return true;
  jinja_node *node = jinja_new_node(p, JINJA_N_SCOPE);
  if (!node || !jinja_enter(p->j)) return false;
  bool done = parse_statement(p, node);
  jinja_leave(p->j);
  jinja_chain_add(body, node);
  return done;
}

static bool parse_output(jinja_parser *p, jinja_chain *body) {
  bool data = p->token->type == JINJA_T_DATA;
  jinja_node *node = jinja_new_node(p, data ? JINJA_N_TEXT : JINJA_N_PRINT);
  if (!node) return false;
  node->name = p->token->text;
  p->token++;
  jinja_chain_add(body, node);
  if (data) return true;
  return (node->first = jinja_parse_tuple(p, true)) &&
         jinja_expect(p, JINJA_T_VARIABLE_END, "'}}'");
}

/* Names the tag that is missing at the template's end. */
static bool missing_end(jinja_parser *p, const char *const *ends) {
  while (ends[1]) ends++;
  p->j->line = p->token->line;
  return jinja_fail(p->j, GUST_E_FORMAT,
                    "expected the tag %s, found the end of the template; correct the template",
                    *ends);
}

static bool parse_body(jinja_parser *p, const char *const *ends, jinja_node **body) {
  jinja_chain statements = {0};
  bool ended = false;
  while (!ended && p->token->type != JINJA_T_END) {
    bool tag = p->token->type == JINJA_T_BLOCK_BEGIN;
    if (!(tag ? parse_tag(p, ends, &statements, &ended) : parse_output(p, &statements)))
      return false;
  }
  *body = statements.first;
  return ended || !ends || missing_end(p, ends);
}

bool jinja_parse(jinja_session *j, const jinja_token *tokens, jinja_node **body) {
  jinja_parser p = {j, tokens, 0};
  return parse_body(&p, NULL, body);
}
