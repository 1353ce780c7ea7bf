/* Expressions. From the loosest to the tightest: conditional, or, and, not,
 * comparisons, + -, ~, * / // %, **, sign, then filters and tests, then
 * attributes, items and calls, as in jinja2. Only what nests recurses, and
 * jinja_enter bounds it; chains of operators are loops. */
#include <string.h>

#include "jinja_syntax.h"

jinja_node *jinja_new_node(jinja_parser *p, jinja_node_type type) {
  jinja_node *node = jinja_alloc(p->j, 1, sizeof *node);
  if (!node) return NULL;
  memset(node, 0, sizeof *node);
  node->type = type;
  node->line = p->token->line;
  return node;
}

void jinja_chain_add(jinja_chain *chain, jinja_node *node) {
  if (chain->last)
    chain->last->next = node;
  else
    chain->first = node;
  chain->last = node;
}

bool jinja_unexpected(jinja_parser *p, const char *what) {
  const jinja_token *t = p->token;
  p->j->line = t->line;
  if (t->type == JINJA_T_END || t->type == JINJA_T_DATA)
    return jinja_fail(p->j, GUST_E_FORMAT, "expected %s, found %s; correct the template", what,
                      t->type == JINJA_T_END ? "the end of the template" : "text");
  return jinja_fail(p->j, GUST_E_FORMAT, "expected %s, found '%.*s'; correct the template", what,
                    JINJA_SHOWN(t->text));
}

bool jinja_at_name(const jinja_parser *p, const char *name) {
  return p->token->type == JINJA_T_NAME && jinja_is(p->token->text, name);
}

bool jinja_skip_name(jinja_parser *p, const char *name) {
  if (!jinja_at_name(p, name)) return false;
  p->token++;
  return true;
}

bool jinja_skip_token(jinja_parser *p, jinja_token_type type) {
  if (p->token->type != type) return false;
  p->token++;
  return true;
}

bool jinja_expect(jinja_parser *p, jinja_token_type type, const char *what) {
  return jinja_skip_token(p, type) || jinja_unexpected(p, what);
}

static jinja_node *unary_node(jinja_parser *p, jinja_node_type type, jinja_node *first) {
  jinja_node *node = first ? jinja_new_node(p, type) : NULL;
  if (node) node->first = first;
  return node;
}

static jinja_node *binary_node(jinja_parser *p, jinja_node_type type, jinja_node *first,
                               jinja_node *second) {
  jinja_node *node = first && second ? jinja_new_node(p, type) : NULL;
  if (!node) return NULL;
  node->line = first->line;
  node->first = first;
  node->second = second;
  return node;
}

/* --- Primaries --- */

static jinja_node *parse_constant(jinja_parser *p, jinja_value value) {
  jinja_node *node = jinja_new_node(p, JINJA_N_CONST);
  if (!node) return NULL;
  node->value = value;
  p->token++;
  return node;
}

static jinja_node *parse_name(jinja_parser *p) {
  jinja_string name = p->token->text;
  if (jinja_is(name, "true") || jinja_is(name, "True")) return parse_constant(p, jinja_bool(true));
  if (jinja_is(name, "false") || jinja_is(name, "False"))
    return parse_constant(p, jinja_bool(false));
  if (jinja_is(name, "none") || jinja_is(name, "None")) return parse_constant(p, jinja_none());
  jinja_node *node = jinja_new_node(p, JINJA_N_NAME);
  if (!node) return NULL;
  node->name = name;
  p->token++;
  return node;
}

/* Neighbouring literals are one string. */
static jinja_node *parse_string(jinja_parser *p) {
  jinja_node *node = parse_constant(p, jinja_str(p->token->text));
  if (!node || p->token->type != JINJA_T_STRING) return node;
  jinja_builder b = {0};
  if (!jinja_put(p->j, &b, node->value.string)) return NULL;
  for (; p->token->type == JINJA_T_STRING; p->token++)
    if (!jinja_put(p->j, &b, p->token->text)) return NULL;
  node->value.string = jinja_built(&b);
  return node;
}

/* [a, b] or {a: b, c: d}; the opening bracket is next. */
static jinja_node *parse_items(jinja_parser *p, bool dict) {
  jinja_token_type close = dict ? JINJA_T_RBRACE : JINJA_T_RBRACKET;
  jinja_node *node = jinja_new_node(p, dict ? JINJA_N_DICT : JINJA_N_LIST);
  if (!node) return NULL;
  p->token++;
  jinja_chain items = {0};
  while (!jinja_skip_token(p, close)) {
    if (items.first && !jinja_expect(p, JINJA_T_COMMA, dict ? "',' or '}'" : "',' or ']'"))
      return NULL;
    if (jinja_skip_token(p, close)) break;
    jinja_node *item = jinja_parse_expression(p, true);
    if (item && dict) {
      if (!jinja_expect(p, JINJA_T_COLON, "':' after the key")) return NULL;
      item = binary_node(p, JINJA_N_PAIR, item, jinja_parse_expression(p, true));
    }
    if (!item) return NULL;
    jinja_chain_add(&items, item);
  }
  node->list = items.first;
  return node;
}

static jinja_node *parse_parentheses(jinja_parser *p) {
  p->token++;
  jinja_node *node = p->token->type == JINJA_T_RPAREN ? jinja_new_node(p, JINJA_N_TUPLE)
                                                      : jinja_parse_tuple(p, true);
  return node && jinja_expect(p, JINJA_T_RPAREN, "')'") ? node : NULL;
}

static jinja_node *parse_primary(jinja_parser *p) {
  switch (p->token->type) {
    case JINJA_T_NAME: return parse_name(p);
    case JINJA_T_STRING: return parse_string(p);
    case JINJA_T_INT: return parse_constant(p, jinja_int(p->token->integer));
    case JINJA_T_FLOAT: return parse_constant(p, jinja_float(p->token->real));
    case JINJA_T_LPAREN: return parse_parentheses(p);
    case JINJA_T_LBRACKET: return parse_items(p, false);
    case JINJA_T_LBRACE: return parse_items(p, true);
    default: jinja_unexpected(p, "an expression"); return NULL;
  }
}

/* --- Attributes, items, calls, filters, tests --- */

static jinja_node *parse_argument(jinja_parser *p) {
  jinja_node *argument = jinja_new_node(p, JINJA_N_ARGUMENT);
  if (!argument) return NULL;
  if (p->token->type == JINJA_T_NAME && p->token[1].type == JINJA_T_ASSIGN) {
    argument->name = p->token->text;
    p->token += 2;
  }
  if (p->token->type == JINJA_T_MUL || p->token->type == JINJA_T_POW) {
    jinja_unexpected(p, "an argument (gust knows no * or ** before one)");
    return NULL;
  }
  argument->first = jinja_parse_expression(p, true);
  return argument->first ? argument : NULL;
}

/* "(a, b, name=c)"; the parenthesis is next. */
static bool parse_arguments(jinja_parser *p, jinja_node **list) {
  jinja_chain arguments = {0};
  bool named = false;
  p->token++;
  while (!jinja_skip_token(p, JINJA_T_RPAREN)) {
    if (arguments.first && !jinja_expect(p, JINJA_T_COMMA, "',' or ')'")) return false;
    if (jinja_skip_token(p, JINJA_T_RPAREN)) break;
    jinja_node *argument = parse_argument(p);
    if (!argument) return false;
    if (named && argument->name.count == 0)
      return jinja_unexpected(p, "no argument without a name after one with a name");
    named = argument->name.count != 0;
    jinja_chain_add(&arguments, argument);
  }
  *list = arguments.first;
  return true;
}

static jinja_node *parse_call(jinja_parser *p, jinja_node *callee) {
  jinja_node *node = unary_node(p, JINJA_N_CALL, callee);
  return node && parse_arguments(p, &node->list) ? node : NULL;
}

/* One bound of a slice, which may be missing; false after an error. */
static bool parse_bound(jinja_parser *p, jinja_node **bound) {
  if (p->token->type == JINJA_T_COLON || p->token->type == JINJA_T_RBRACKET) return true;
  *bound = jinja_parse_expression(p, true);
  return *bound != NULL;
}

static jinja_node *parse_subscript(jinja_parser *p, jinja_node *object) {
  jinja_node *node = unary_node(p, JINJA_N_ITEM, object);
  if (!node) return NULL;
  p->token++;
  if (p->token->type == JINJA_T_RBRACKET) return jinja_unexpected(p, "an index"), NULL;
  if (!parse_bound(p, &node->second)) return NULL;
  if (jinja_skip_token(p, JINJA_T_COLON)) {
    node->type = JINJA_N_SLICE;
    if (!parse_bound(p, &node->third)) return NULL;
    if (jinja_skip_token(p, JINJA_T_COLON) && !parse_bound(p, &node->fourth)) return NULL;
  }
  return jinja_expect(p, JINJA_T_RBRACKET, "']'") ? node : NULL;
}

static jinja_node *parse_attribute(jinja_parser *p, jinja_node *object) {
  jinja_node *node = unary_node(p, JINJA_N_ATTRIBUTE, object);
  if (!node) return NULL;
  p->token++;
  if (p->token->type == JINJA_T_INT) {
    node->type = JINJA_N_ITEM;
    node->second = parse_constant(p, jinja_int(p->token->integer));
    return node->second ? node : NULL;
  }
  node->name = p->token->text;
  return jinja_expect(p, JINJA_T_NAME, "an attribute's name after '.'") ? node : NULL;
}

static jinja_node *parse_postfix(jinja_parser *p, jinja_node *node) {
  while (node) {
    if (p->token->type == JINJA_T_DOT)
      node = parse_attribute(p, node);
    else if (p->token->type == JINJA_T_LBRACKET)
      node = parse_subscript(p, node);
    else if (p->token->type == JINJA_T_LPAREN)
      node = parse_call(p, node);
    else
      break;
  }
  return node;
}

static jinja_node *parse_one_filter(jinja_parser *p, jinja_node *operand) {
  jinja_node *node = unary_node(p, JINJA_N_FILTER, operand);
  if (!node) return NULL;
  node->name = p->token->text;
  if (!jinja_expect(p, JINJA_T_NAME, "a filter's name")) return NULL;
  if (p->token->type == JINJA_T_LPAREN && !parse_arguments(p, &node->list)) return NULL;
  return node;
}

jinja_node *jinja_parse_filters(jinja_parser *p, jinja_node *node) {
  while (node && jinja_skip_token(p, JINJA_T_PIPE)) node = parse_one_filter(p, node);
  return node;
}

jinja_node *jinja_parse_filter(jinja_parser *p, jinja_node *node) {
  return jinja_parse_filters(p, parse_one_filter(p, node));
}

/* Whether a test's only argument may follow, without parentheses. */
static bool at_test_argument(const jinja_parser *p) {
  switch (p->token->type) {
    case JINJA_T_NAME:
      return !jinja_at_name(p, "else") && !jinja_at_name(p, "or") && !jinja_at_name(p, "and");
    case JINJA_T_STRING:
    case JINJA_T_INT:
    case JINJA_T_FLOAT:
    case JINJA_T_LBRACKET:
    case JINJA_T_LBRACE: return true;
    default: return false;
  }
}

static jinja_node *parse_test(jinja_parser *p, jinja_node *operand) {
  jinja_node *node = unary_node(p, JINJA_N_TEST, operand);
  if (!node) return NULL;
  p->token++;
  bool negated = jinja_skip_name(p, "not");
  node->name = p->token->text;
  if (!jinja_expect(p, JINJA_T_NAME, "a test's name after 'is'")) return NULL;
  if (p->token->type == JINJA_T_LPAREN) {
    if (!parse_arguments(p, &node->list)) return NULL;
  } else if (at_test_argument(p)) {
    if (jinja_at_name(p, "is")) return jinja_unexpected(p, "one test ('is' does not chain)"), NULL;
    jinja_node *argument = jinja_new_node(p, JINJA_N_ARGUMENT);
    if (!argument) return NULL;
    argument->first = parse_postfix(p, parse_primary(p));
    if (!argument->first) return NULL;
    node->list = argument;
  }
  return negated ? unary_node(p, JINJA_N_NOT, node) : node;
}

static jinja_node *parse_filters_and_tests(jinja_parser *p, jinja_node *node) {
  while (node) {
    if (p->token->type == JINJA_T_PIPE)
      node = jinja_parse_filters(p, node);
    else if (jinja_at_name(p, "is"))
      node = parse_test(p, node);
    else if (p->token->type == JINJA_T_LPAREN)
      node = parse_call(p, node);
    else
      break;
  }
  return node;
}

/* --- Operators --- */

/* A sign binds tighter than a filter: -1|abs is (-1)|abs. */
static jinja_node *parse_unary(jinja_parser *p, bool filters) {
  jinja_node *node;
  if (p->token->type == JINJA_T_SUB || p->token->type == JINJA_T_ADD) {
    bool minus = p->token->type == JINJA_T_SUB;
    p->token++;
    if (!jinja_enter(p->j)) return NULL;
    node = unary_node(p, minus ? JINJA_N_NEGATE : JINJA_N_PLUS, parse_unary(p, false));
    jinja_leave(p->j);
  } else {
    node = parse_primary(p);
  }
  node = parse_postfix(p, node);
  return filters ? parse_filters_and_tests(p, node) : node;
}

static jinja_node *parse_power(jinja_parser *p) {
  jinja_node *node = parse_unary(p, true);
  while (node && jinja_skip_token(p, JINJA_T_POW)) {
    node = binary_node(p, JINJA_N_BINARY, node, parse_unary(p, true));
    if (node) node->op = JINJA_T_POW;
  }
  return node;
}

static jinja_node *parse_product(jinja_parser *p) {
  jinja_node *node = parse_power(p);
  for (;;) {
    jinja_token_type op = p->token->type;
    if (!node ||
        (op != JINJA_T_MUL && op != JINJA_T_DIV && op != JINJA_T_FLOORDIV && op != JINJA_T_MOD))
      return node;
    p->token++;
    node = binary_node(p, JINJA_N_BINARY, node, parse_power(p));
    if (node) node->op = op;
  }
}

static jinja_node *parse_concat(jinja_parser *p) {
  jinja_node *node = parse_product(p);
  if (!node || p->token->type != JINJA_T_TILDE) return node;
  jinja_node *concat = jinja_new_node(p, JINJA_N_CONCAT);
  jinja_chain parts = {0};
  while (concat && node) {
    jinja_chain_add(&parts, node);
    if (!jinja_skip_token(p, JINJA_T_TILDE)) {
      concat->list = parts.first;
      return concat;
    }
    node = parse_product(p);
  }
  return NULL;
}

static jinja_node *parse_sum(jinja_parser *p) {
  jinja_node *node = parse_concat(p);
  for (;;) {
    jinja_token_type op = p->token->type;
    if (!node || (op != JINJA_T_ADD && op != JINJA_T_SUB)) return node;
    p->token++;
    node = binary_node(p, JINJA_N_BINARY, node, parse_concat(p));
    if (node) node->op = op;
  }
}

/* The comparison that comes next, taken; JINJA_T_END when none does. */
static jinja_token_type take_comparison(jinja_parser *p) {
  jinja_token_type type = p->token->type;
  if (type >= JINJA_T_EQ && type <= JINJA_T_LT) {
    p->token++;
    return type;
  }
  if (jinja_skip_name(p, "in")) return JINJA_T_IN;
  if (jinja_at_name(p, "not") && p->token[1].type == JINJA_T_NAME &&
      jinja_is(p->token[1].text, "in")) {
    p->token += 2;
    return JINJA_T_NOT_IN;
  }
  return JINJA_T_END;
}

static jinja_node *parse_comparison(jinja_parser *p) {
  jinja_node *node = parse_sum(p);
  jinja_node *compare = NULL;
  jinja_chain operands = {0};
  jinja_token_type op;
  while (node && (op = take_comparison(p)) != JINJA_T_END) {
    if (!compare) {
      compare = unary_node(p, JINJA_N_COMPARE, node);
      if (!compare) return NULL;
      compare->line = node->line;
    }
    node = unary_node(p, JINJA_N_OPERAND, parse_sum(p));
    if (!node) return NULL;
    node->op = op;
    jinja_chain_add(&operands, node);
    compare->list = operands.first;
  }
  return compare ? compare : node;
}

static jinja_node *parse_not(jinja_parser *p) {
  if (!jinja_skip_name(p, "not")) return parse_comparison(p);
  if (!jinja_enter(p->j)) return NULL;
  jinja_node *node = unary_node(p, JINJA_N_NOT, parse_not(p));
  jinja_leave(p->j);
  return node;
}

static jinja_node *parse_and(jinja_parser *p) {
  jinja_node *node = parse_not(p);
  while (node && jinja_skip_name(p, "and")) node = binary_node(p, JINJA_N_AND, node, parse_not(p));
  return node;
}

static jinja_node *parse_or(jinja_parser *p) {
  jinja_node *node = parse_and(p);
  while (node && jinja_skip_name(p, "or")) node = binary_node(p, JINJA_N_OR, node, parse_and(p));
  return node;
}

static jinja_node *parse_conditional(jinja_parser *p) {
  jinja_node *node = parse_or(p);
  while (node && jinja_skip_name(p, "if")) {
    jinja_node *test = parse_or(p);
    jinja_node *condition = binary_node(p, JINJA_N_CONDITION, test, node);
    if (!condition) return NULL;
    if (jinja_skip_name(p, "else")) {
      condition->third = jinja_parse_expression(p, true);
      if (!condition->third) return NULL;
    }
    node = condition;
  }
  return node;
}

jinja_node *jinja_parse_expression(jinja_parser *p, bool conditional) {
  if (!jinja_enter(p->j)) return NULL;
  jinja_node *node = conditional ? parse_conditional(p) : parse_or(p);
  jinja_leave(p->j);
  return node;
}

/* --- Tuples and targets --- */

static bool at_tuple_end(const jinja_parser *p) {
  return p->token->type == JINJA_T_VARIABLE_END || p->token->type == JINJA_T_BLOCK_END ||
         p->token->type == JINJA_T_RPAREN || p->token->type == JINJA_T_ASSIGN ||
         jinja_at_name(p, "in");
}

jinja_node *jinja_parse_tuple(jinja_parser *p, bool conditional) {
  jinja_node *node = jinja_parse_expression(p, conditional);
  if (!node || p->token->type != JINJA_T_COMMA) return node;
  jinja_node *tuple = jinja_new_node(p, JINJA_N_TUPLE);
  jinja_chain items = {0};
  if (!tuple) return NULL;
  jinja_chain_add(&items, node);
  while (jinja_skip_token(p, JINJA_T_COMMA) && !at_tuple_end(p)) {
    node = jinja_parse_expression(p, conditional);
    if (!node) return NULL;
    jinja_chain_add(&items, node);
  }
  tuple->list = items.first;
  return tuple;
}

static jinja_node *parse_target_name(jinja_parser *p) {
  static const char *const reserved[] = {"true", "false", "none", "True", "False", "None", "not"};
  for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
    if (jinja_at_name(p, reserved[i])) return jinja_unexpected(p, "a name to assign to"), NULL;
  jinja_node *node = jinja_new_node(p, JINJA_N_NAME);
  if (!node) return NULL;
  node->name = p->token->text;
  return jinja_expect(p, JINJA_T_NAME, "a name to assign to") ? node : NULL;
}

jinja_node *jinja_parse_target(jinja_parser *p, bool attributes) {
  bool parentheses = jinja_skip_token(p, JINJA_T_LPAREN);
  jinja_node *node = parse_target_name(p);
  if (node && attributes && !parentheses && p->token->type == JINJA_T_DOT)
    return parse_attribute(p, node);
  if (node && p->token->type == JINJA_T_COMMA) {
    jinja_node *tuple = jinja_new_node(p, JINJA_N_TUPLE);
    jinja_chain names = {0};
    if (!tuple) return NULL;
    jinja_chain_add(&names, node);
    while (jinja_skip_token(p, JINJA_T_COMMA) && !at_tuple_end(p)) {
      node = parse_target_name(p);
      if (!node) return NULL;
      jinja_chain_add(&names, node);
    }
    tuple->list = names.first;
    node = tuple;
  }
  if (parentheses && node && !jinja_expect(p, JINJA_T_RPAREN, "')'")) return NULL;
  return node;
}
