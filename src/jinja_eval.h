/* Runs a tree: scopes, expressions, statements, and the functions, methods,
 * filters and tests that templates may use. */
#ifndef JINJA_EVAL_H
#define JINJA_EVAL_H

#include "jinja_syntax.h"

#define JINJA_MAX_PARAMETERS 5

/* A built-in: a function (self unused), a method or filter (self: what it is
 * applied to) or a test (*out is a boolean). `args` has one entry per
 * parameter, JINJA_ABSENT where none was given. `call` NULL: the named
 * arguments become a namespace or dict, as `makes` says. */
typedef struct jinja_function {
  const char *name;
  bool (*call)(jinja_session *j, const jinja_value *self, const jinja_value *args,
               jinja_value *out);
  unsigned required; /* parameters that must be given */
  const char *parameters[JINJA_MAX_PARAMETERS];
  jinja_kind makes;
} jinja_function;

typedef struct jinja_method {
  const jinja_function *function;
  jinja_value self;
} jinja_method;

typedef struct jinja_binding jinja_binding;
struct jinja_binding {
  jinja_string name;
  jinja_value value;
  jinja_binding *next;
};

typedef struct jinja_scope jinja_scope;
struct jinja_scope {
  jinja_scope *parent;
  jinja_binding *bindings;
};

typedef struct jinja_macro {
  const jinja_node *node;
  jinja_scope *scope; /* where it was defined */
} jinja_macro;

/* Arguments of a call; those with a name come last. */
typedef struct jinja_arguments {
  jinja_value *values;
  jinja_string *names; /* empty: by position */
  size_t count;
} jinja_arguments;

/* --- scopes (jinja_eval.c) --- */

jinja_scope *jinja_new_scope(jinja_session *j, jinja_scope *parent); /* NULL: failed */
bool jinja_bind_name(jinja_session *j, jinja_scope *scope, jinja_string name, jinja_value value);

/* --- expressions (jinja_eval.c) --- */

bool jinja_eval(jinja_session *j, const jinja_node *node, jinja_scope *scope, jinja_value *out);

/* --- operators (jinja_operators.c) --- */

bool jinja_binary(jinja_session *j, jinja_token_type op, const jinja_value *a, const jinja_value *b,
                  jinja_value *out);
bool jinja_negate(jinja_session *j, const jinja_value *a, jinja_value *out);
/* == != < <= > >= in not-in */
bool jinja_relation(jinja_session *j, jinja_token_type op, const jinja_value *a,
                    const jinja_value *b, bool *holds);
/* object[bounds[0]:bounds[1]:bounds[2]], JINJA_NONE where a bound is missing. */
bool jinja_slice(jinja_session *j, const jinja_value *object, const jinja_value bounds[3],
                 jinja_value *out);
/* object.name and object[key]; *out is undefined when there is none. */
bool jinja_attribute(jinja_session *j, const jinja_value *object, jinja_string name,
                     jinja_value *out);
bool jinja_item(jinja_session *j, const jinja_value *object, const jinja_value *key,
                jinja_value *out);

/* --- statements (jinja_run.c) --- */

bool jinja_run(jinja_session *j, const jinja_node *body, jinja_scope *scope, jinja_builder *out);
bool jinja_call_macro(jinja_session *j, const jinja_macro *macro, const jinja_arguments *arguments,
                      jinja_value *out);
/* Gives the value to a name, a tuple of names or a namespace's attribute. */
bool jinja_assign(jinja_session *j, const jinja_node *target, jinja_scope *scope,
                  const jinja_value *value);

/* --- built-ins --- */

/* Sorts arguments into the function's parameters and calls it. */
bool jinja_call_function(jinja_session *j, const jinja_function *function, const jinja_value *self,
                         const jinja_arguments *arguments, jinja_value *out);
/* NULL where there is none of that name. */
const jinja_function *jinja_find_global(jinja_string name);                  /* jinja_functions.c */
const jinja_function *jinja_find_method(jinja_kind kind, jinja_string name); /* jinja_methods.c */
const jinja_function *jinja_find_filter(jinja_string name);                  /* jinja_filters.c */
const jinja_function *jinja_find_test(jinja_string name);                    /* jinja_tests.c */
/* The table's entry of that name; the table ends with a NULL name. */
const jinja_function *jinja_find_function(const jinja_function *table, jinja_string name);
/* The same for filters and tests by name, failing when there is none. */
bool jinja_apply_filter(jinja_session *j, jinja_string name, const jinja_value *self,
                        const jinja_arguments *arguments, jinja_value *out);
bool jinja_apply_test(jinja_session *j, jinja_string name, const jinja_value *self,
                      const jinja_arguments *arguments, bool *holds);

/* --- what built-ins share (jinja_functions.c) --- */

/* An argument as what it has to be; `fallback` when it is absent (or none). */
bool jinja_want_string(jinja_session *j, const jinja_value *value, const char *what,
                       jinja_string *out);
bool jinja_want_int(jinja_session *j, const jinja_value *value, const char *what, int64_t fallback,
                    int64_t *out);
bool jinja_want_truth(const jinja_value *value, bool fallback);

/* The methods and filters that are the same. */
typedef bool jinja_builtin(jinja_session *j, const jinja_value *self, const jinja_value *args,
                           jinja_value *out);
jinja_builtin jinja_do_strip, jinja_do_lower, jinja_do_upper, jinja_do_capitalize, jinja_do_replace,
    jinja_do_items;

#endif
