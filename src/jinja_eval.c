/* Scopes and expressions. */
#include "jinja_eval.h"

#include <string.h>

#include "jinja_print.h"

jinja_scope *jinja_new_scope(jinja_session *j, jinja_scope *parent) {
  jinja_scope *scope = jinja_alloc(j, 1, sizeof *scope);
  if (scope) *scope = (jinja_scope){parent, NULL};
  return scope;
}

/* The name's binding in this scope and, with `around`, those around it. */
static bool find_binding(jinja_session *j, jinja_scope *scope, jinja_string name, bool around,
                         jinja_binding **found) {
  *found = NULL;
  for (; scope; scope = around ? scope->parent : NULL) {
    for (jinja_binding *b = scope->bindings; b; b = b->next) {
      if (!jinja_charge(j, 1)) return false;
      if (!jinja_same(b->name, name)) continue;
      *found = b;
      return true;
    }
  }
  return true;
}

bool jinja_bind_name(jinja_session *j, jinja_scope *scope, jinja_string name, jinja_value value) {
  jinja_binding *binding;
  if (!find_binding(j, scope, name, false, &binding)) return false;
  if (!binding) {
    binding = jinja_alloc(j, 1, sizeof *binding);
    if (!binding) return false;
    binding->name = name;
    binding->next = scope->bindings;
    scope->bindings = binding;
  }
  binding->value = value;
  return true;
}

static bool eval_name(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                      jinja_value *out) {
  jinja_binding *binding;
  if (!find_binding(j, scope, node->name, true, &binding)) return false;
  const jinja_function *global = binding ? NULL : jinja_find_global(node->name);
  if (binding)
    *out = binding->value;
  else if (global)
    *out = (jinja_value){.kind = JINJA_FUNCTION, .function = global};
  else
    *out = jinja_undefined(node->name);
  return true;
}

static bool eval_list(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                      jinja_value *out) {
  if (!jinja_new_list(j, out)) return false;
  for (const jinja_node *item = node->list; item; item = item->next) {
    jinja_value value = {0};
    if (!jinja_eval(j, item, scope, &value) || !jinja_append(j, out->list, value)) return false;
  }
  if (node->type == JINJA_N_TUPLE) out->kind = JINJA_TUPLE;
  return true;
}

static bool eval_dict(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                      jinja_value *out) {
  if (!jinja_new_dict(j, out)) return false;
  for (const jinja_node *pair = node->list; pair; pair = pair->next) {
    jinja_value key, value;
    if (!jinja_eval(j, pair->first, scope, &key) || !jinja_eval(j, pair->second, scope, &value) ||
        !jinja_dict_set(j, out->dict, key, value))
      return false;
  }
  return true;
}

static bool eval_concat(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                        jinja_value *out) {
  jinja_builder b = {0};
  for (const jinja_node *part = node->list; part; part = part->next) {
    jinja_value value;
    if (!jinja_eval(j, part, scope, &value) || !jinja_print(j, &b, &value)) return false;
  }
  *out = jinja_str(jinja_built(&b));
  return true;
}

static bool eval_compare(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                         jinja_value *out) {
  jinja_value left, right;
  bool holds = true;
  if (!jinja_eval(j, node->first, scope, &left)) return false;
  for (const jinja_node *o = node->list; o && holds; o = o->next) {
    if (!jinja_eval(j, o->first, scope, &right)) return false;
    j->line = node->line;
    if (!jinja_relation(j, o->op, &left, &right, &holds)) return false;
    left = right;
  }
  *out = jinja_bool(holds);
  return true;
}

static bool eval_slice(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                       jinja_value *out) {
  const jinja_node *bounds[3] = {node->second, node->third, node->fourth};
  jinja_value object, values[3];
  if (!jinja_eval(j, node->first, scope, &object)) return false;
  for (int i = 0; i < 3; i++) {
    values[i] = jinja_none();
    if (bounds[i] && !jinja_eval(j, bounds[i], scope, &values[i])) return false;
  }
  j->line = node->line;
  return jinja_slice(j, &object, values, out);
}

static bool eval_arguments(jinja_session *j, const jinja_node *list, jinja_scope *scope,
                           jinja_arguments *arguments) {
  *arguments = (jinja_arguments){NULL, NULL, 0};
  size_t count = 0;
  for (const jinja_node *n = list; n; n = n->next) count++;
  if (count == 0) return true;
  arguments->values = jinja_alloc(j, count, sizeof *arguments->values);
  arguments->names = jinja_alloc(j, count, sizeof *arguments->names);
  if (!arguments->values || !arguments->names) return false;
  for (const jinja_node *n = list; n; n = n->next, arguments->count++) {
    arguments->names[arguments->count] = n->name;
    if (!jinja_eval(j, n->first, scope, &arguments->values[arguments->count])) return false;
  }
  return true;
}

static bool eval_call(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                      jinja_value *out) {
  jinja_value callee;
  jinja_arguments arguments;
  if (!jinja_eval(j, node->first, scope, &callee) ||
      !eval_arguments(j, node->list, scope, &arguments))
    return false;
  j->line = node->line;
  switch (callee.kind) {
    case JINJA_MACRO: return jinja_call_macro(j, callee.macro, &arguments, out);
    case JINJA_FUNCTION: return jinja_call_function(j, callee.function, NULL, &arguments, out);
    case JINJA_METHOD:
      return jinja_call_function(j, callee.method->function, &callee.method->self, &arguments, out);
    default: return jinja_refuse(j, "a function, method or macro to call", &callee);
  }
}

static bool eval_filter_or_test(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                                jinja_value *out) {
  jinja_value self;
  jinja_arguments arguments;
  if (!jinja_eval(j, node->first, scope, &self) ||
      !eval_arguments(j, node->list, scope, &arguments))
    return false;
  j->line = node->line;
  if (node->type == JINJA_N_FILTER)
    return jinja_apply_filter(j, node->name, &self, &arguments, out);
  bool holds;
  if (!jinja_apply_test(j, node->name, &self, &arguments, &holds)) return false;
  *out = jinja_bool(holds);
  return true;
}

/* A sign before, or an operator between, evaluated operands. */
static bool eval_operator(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                          jinja_value *out) {
  jinja_value a, b;
  if (!jinja_eval(j, node->first, scope, &a)) return false;
  if (node->second && !jinja_eval(j, node->second, scope, &b)) return false;
  j->line = node->line;
  switch (node->type) {
    case JINJA_N_BINARY: return jinja_binary(j, node->op, &a, &b, out);
    case JINJA_N_ITEM: return jinja_item(j, &a, &b, out);
    case JINJA_N_ATTRIBUTE: return jinja_attribute(j, &a, node->name, out);
    case JINJA_N_NEGATE: return jinja_negate(j, &a, out);
    case JINJA_N_PLUS:
      *out = a.kind == JINJA_BOOL ? jinja_int(a.truth) : a;
      return jinja_is_number(&a) || jinja_refuse(j, "a number after '+'", &a);
    default: *out = jinja_bool(!jinja_truth(&a)); return true; /* NOT */
  }
}

/* The parts of which only some are evaluated. */
static bool eval_choice(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                        jinja_value *out) {
  if (!jinja_eval(j, node->first, scope, out)) return false;
  bool truth = jinja_truth(out);
  switch (node->type) {
    case JINJA_N_AND: return !truth || jinja_eval(j, node->second, scope, out);
    case JINJA_N_OR: return truth || jinja_eval(j, node->second, scope, out);
    default: break;
  }
  const jinja_node *chosen = truth ? node->second : node->third;
  if (chosen) return jinja_eval(j, chosen, scope, out);
  *out = jinja_undefined(jinja_text("the missing else of an inline if"));
  return true;
}

static bool eval_node(jinja_session *j, const jinja_node *node, jinja_scope *scope,
                      jinja_value *out) {
  switch (node->type) {
    case JINJA_N_CONST: *out = node->value; return true;
    case JINJA_N_NAME: return eval_name(j, node, scope, out);
    case JINJA_N_LIST:
    case JINJA_N_TUPLE: return eval_list(j, node, scope, out);
    case JINJA_N_DICT: return eval_dict(j, node, scope, out);
    case JINJA_N_SLICE: return eval_slice(j, node, scope, out);
    case JINJA_N_CALL: return eval_call(j, node, scope, out);
    case JINJA_N_FILTER:
    case JINJA_N_TEST: return eval_filter_or_test(j, node, scope, out);
    case JINJA_N_CONCAT: return eval_concat(j, node, scope, out);
    case JINJA_N_COMPARE: return eval_compare(j, node, scope, out);
    case JINJA_N_AND:
    case JINJA_N_OR:
    case JINJA_N_CONDITION: return eval_choice(j, node, scope, out);
    default: return eval_operator(j, node, scope, out);
  }
}

bool jinja_eval(jinja_session *j, const jinja_node *node, jinja_scope *scope, jinja_value *out) {
  j->line = node->line;
  if (!jinja_charge(j, 1) || !jinja_enter(j)) return false;
  bool done = eval_node(j, node, scope, out);
  jinja_leave(j);
  return done;
}
