/* Statements. Assignments inside a for, a macro or a generation block stay
 * there; an if has no scope of its own. */
#include <string.h>

#include "jinja_eval.h"
#include "jinja_print.h"

typedef enum jump { JUMP_NONE, JUMP_BREAK, JUMP_CONTINUE } jump;

static bool run(jinja_session *j, const jinja_node *body, jinja_scope *scope, jinja_builder *out,
                jump *jumped);

/* --- Assignment --- */

static bool assign_tuple(jinja_session *j, const jinja_node *target, jinja_scope *scope,
                         const jinja_value *value) {
  const jinja_list *items;
  size_t wanted = 0;
  for (const jinja_node *n = target->list; n; n = n->next) wanted++;
  if (!jinja_iterate(j, value, &items)) return false;
  if (items->count != wanted)
    return jinja_fail(j, GUST_E_FORMAT,
                      "expected %zu values for as many names, found %zu; correct the template",
                      wanted, items->count);
  size_t i = 0;
  for (const jinja_node *n = target->list; n; n = n->next)
    if (!jinja_bind_name(j, scope, n->name, items->items[i++])) return false;
  return true;
}

bool jinja_assign(jinja_session *j, const jinja_node *target, jinja_scope *scope,
                  const jinja_value *value) {
  j->line = target->line;
  if (target->type == JINJA_N_TUPLE) return assign_tuple(j, target, scope, value);
  if (target->type == JINJA_N_NAME) return jinja_bind_name(j, scope, target->name, *value);
  jinja_value object;
  if (!jinja_eval(j, target->first, scope, &object)) return false;
  if (object.kind != JINJA_NAMESPACE)
    return jinja_refuse(j, "a namespace to set an attribute of", &object);
  return jinja_dict_set(j, object.dict, jinja_str(target->name), *value);
}

/* The text a body prints, run in a scope of its own. */
static bool capture(jinja_session *j, const jinja_node *body, jinja_scope *scope, jump *jumped,
                    jinja_value *out) {
  jinja_builder b = {.limit = JINJA_MAX_OUTPUT};
  jinja_scope *inner = jinja_new_scope(j, scope);
  if (!inner || !run(j, body, inner, &b, jumped)) return false;
  *out = jinja_str(jinja_built(&b));
  return true;
}

static bool apply_block_filters(jinja_session *j, const jinja_node *filters, jinja_scope *scope,
                                jinja_value *text) {
  jinja_scope *inner = jinja_new_scope(j, scope);
  return inner && jinja_bind_name(j, inner, jinja_text(JINJA_BLOCK_TEXT), *text) &&
         jinja_eval(j, filters, inner, text);
}

static bool run_set_block(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                          jump *jumped) {
  jinja_value text;
  if (!capture(j, node->list, scope, jumped, &text)) return false;
  if (*jumped != JUMP_NONE) return true; /* a break leaves the assignment undone, too */
  if (node->second && !apply_block_filters(j, node->second, scope, &text)) return false;
  return jinja_assign(j, node->first, scope, &text);
}

/* --- Macros --- */

static bool bind_parameters(jinja_session *j, const jinja_macro *macro,
                            const jinja_arguments *arguments, jinja_scope *scope) {
  size_t used = 0, position = 0;
  for (const jinja_node *p = macro->node->first; p; p = p->next, position++) {
    if (!jinja_charge(j, arguments->count)) return false;
    jinja_value value = jinja_undefined(p->name);
    bool given = false;
    for (size_t i = 0; i < arguments->count && !given; i++) {
      jinja_string name = arguments->names[i];
      given = name.count ? jinja_same(name, p->name) : i == position;
      if (given) value = arguments->values[i];
    }
    used += given;
    if (!given && p->first && !jinja_eval(j, p->first, scope, &value)) return false;
    if (!jinja_bind_name(j, scope, p->name, value)) return false;
  }
  if (used == arguments->count) return true;
  return jinja_fail(j, GUST_E_FORMAT,
                    "expected arguments that the macro '%.*s' takes, found others or too many; "
                    "correct the template",
                    JINJA_SHOWN(macro->node->name));
}

bool jinja_call_macro(jinja_session *j, const jinja_macro *macro, const jinja_arguments *arguments,
                      jinja_value *out) {
  jump jumped = JUMP_NONE;
  jinja_scope *scope = jinja_new_scope(j, macro->scope);
  jinja_builder b = {.limit = JINJA_MAX_OUTPUT};
  if (!scope || !bind_parameters(j, macro, arguments, scope) ||
      !run(j, macro->node->list, scope, &b, &jumped))
    return false;
  *out = jinja_str(jinja_built(&b));
  return true;
}

static bool run_macro(jinja_session *j, const jinja_node *node, jinja_scope *scope) {
  jinja_macro *macro = jinja_alloc(j, 1, sizeof *macro);
  if (!macro) return false;
  *macro = (jinja_macro){node, scope};
  jinja_value value = {.kind = JINJA_MACRO, .macro = macro};
  return jinja_bind_name(j, scope, node->name, value);
}

/* --- Loops and branches --- */

/* The items that pass the loop's own `if`. */
static bool keep_items(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                       const jinja_list **items) {
  jinja_value kept, passes;
  if (!jinja_new_list(j, &kept)) return false;
  for (size_t i = 0; i < (*items)->count; i++) {
    jinja_scope *inner = jinja_new_scope(j, scope);
    if (!inner || !jinja_assign(j, node->first, inner, &(*items)->items[i]) ||
        !jinja_eval(j, node->third, inner, &passes))
      return false;
    if (jinja_truth(&passes) && !jinja_append(j, kept.list, (*items)->items[i])) return false;
  }
  *items = kept.list;
  return true;
}

static bool run_for(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                    jinja_builder *out, jump *jumped) {
  jinja_value iterable;
  const jinja_list *items;
  if (!jinja_eval(j, node->second, scope, &iterable)) return false;
  j->line = node->line;
  if (!jinja_iterate(j, &iterable, &items)) return false;
  if (node->third && !keep_items(j, node, scope, &items)) return false;
  if (items->count == 0) {
    jinja_scope *inner = jinja_new_scope(j, scope);
    return inner && run(j, node->fourth, inner, out, jumped);
  }
  jinja_loop *loop = jinja_alloc(j, 1, sizeof *loop);
  if (!loop) return false;
  *loop = (jinja_loop){items, 0};
  jinja_value value = {.kind = JINJA_LOOP, .loop = loop};
  for (; loop->index < items->count; loop->index++) {
    jump inner_jump = JUMP_NONE;
    jinja_scope *inner = jinja_new_scope(j, scope);
    if (!inner || !jinja_charge(j, 1) || !jinja_bind_name(j, inner, jinja_text("loop"), value) ||
        !jinja_assign(j, node->first, inner, &items->items[loop->index]) ||
        !run(j, node->list, inner, out, &inner_jump))
      return false;
    if (inner_jump == JUMP_BREAK) break;
  }
  return true;
}

static bool run_if(jinja_session *j, const jinja_node *node, jinja_scope *scope, jinja_builder *out,
                   jump *jumped) {
  for (const jinja_node *branch = node->list; branch; branch = branch->next) {
    jinja_value test = jinja_bool(true);
    if (branch->first && !jinja_eval(j, branch->first, scope, &test)) return false;
    if (jinja_truth(&test)) return run(j, branch->list, scope, out, jumped);
  }
  return true;
}

static bool run_statement(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                          jinja_builder *out, jump *jumped) {
  jinja_value value;
  switch (node->type) {
    case JINJA_N_TEXT: return jinja_put(j, out, node->name);
    case JINJA_N_PRINT:
      if (!jinja_eval(j, node->first, scope, &value)) return false;
      j->line = node->line;
      return jinja_print(j, out, &value);
    case JINJA_N_IF: return run_if(j, node, scope, out, jumped);
    case JINJA_N_FOR: return run_for(j, node, scope, out, jumped);
    case JINJA_N_SET:
      return jinja_eval(j, node->second, scope, &value) &&
             jinja_assign(j, node->first, scope, &value);
    case JINJA_N_SET_BLOCK: return run_set_block(j, node, scope, jumped);
    case JINJA_N_FILTERED:
      if (!capture(j, node->list, scope, jumped, &value)) return false;
      return *jumped != JUMP_NONE ||
             (apply_block_filters(j, node->first, scope, &value) && jinja_print(j, out, &value));
    case JINJA_N_MACRO: return run_macro(j, node, scope);
    case JINJA_N_BREAK: *jumped = JUMP_BREAK; return true;
    case JINJA_N_CONTINUE: *jumped = JUMP_CONTINUE; return true;
    default: { /* SCOPE */
      jinja_scope *inner = jinja_new_scope(j, scope);
      return inner && run(j, node->list, inner, out, jumped);
    }
  }
}

static bool run(jinja_session *j, const jinja_node *body, jinja_scope *scope, jinja_builder *out,
                jump *jumped) {
  if (!jinja_enter(j)) return false;
  bool done = true;
  for (const jinja_node *node = body; node && done && *jumped == JUMP_NONE; node = node->next) {
    j->line = node->line;
    done = jinja_charge(j, 1) && run_statement(j, node, scope, out, jumped);
  }
  jinja_leave(j);
  return done;
}

bool jinja_run(jinja_session *j, const jinja_node *body, jinja_scope *scope, jinja_builder *out) {
  jump jumped = JUMP_NONE;
  return run(j, body, scope, out, &jumped);
}
