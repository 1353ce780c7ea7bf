/* From template source to a tree: tokens and nodes. */
#ifndef JINJA_SYNTAX_H
#define JINJA_SYNTAX_H

#include "jinja_value.h"

typedef enum jinja_token_type {
  JINJA_T_END,
  JINJA_T_DATA, /* template text, white space control applied */
  JINJA_T_BLOCK_BEGIN,
  JINJA_T_BLOCK_END,
  JINJA_T_VARIABLE_BEGIN,
  JINJA_T_VARIABLE_END,
  JINJA_T_NAME,
  JINJA_T_STRING, /* .text is what the literal means */
  JINJA_T_INT,
  JINJA_T_FLOAT,
  /* operators */
  JINJA_T_POW,
  JINJA_T_FLOORDIV,
  JINJA_T_EQ,
  JINJA_T_NE,
  JINJA_T_GE,
  JINJA_T_LE,
  JINJA_T_GT,
  JINJA_T_LT,
  JINJA_T_ASSIGN,
  JINJA_T_ADD,
  JINJA_T_SUB,
  JINJA_T_MUL,
  JINJA_T_DIV,
  JINJA_T_MOD,
  JINJA_T_TILDE,
  JINJA_T_LPAREN,
  JINJA_T_RPAREN,
  JINJA_T_LBRACKET,
  JINJA_T_RBRACKET,
  JINJA_T_LBRACE,
  JINJA_T_RBRACE,
  JINJA_T_PIPE,
  JINJA_T_DOT,
  JINJA_T_COMMA,
  JINJA_T_COLON,
  JINJA_T_SEMICOLON,
  /* comparisons spelled as words; nodes only */
  JINJA_T_IN,
  JINJA_T_NOT_IN
} jinja_token_type;

typedef struct jinja_token {
  jinja_token_type type;
  uint32_t line;
  jinja_string text; /* DATA, NAME, STRING; else as spelled */
  union {
    int64_t integer;
    double real;
  };
} jinja_token;

/* The whole source as tokens, ended by JINJA_T_END. `source` must live as long
 * as the session. */
bool jinja_lex(jinja_session *j, jinja_string source, jinja_token **tokens);

/* What a node holds; the fields not named are empty. `list` is chained through
 * the `next` of its nodes. */
typedef enum jinja_node_type {
  /* expressions */
  JINJA_N_CONST,     /* value */
  JINJA_N_NAME,      /* name */
  JINJA_N_LIST,      /* list */
  JINJA_N_TUPLE,     /* list */
  JINJA_N_DICT,      /* list of PAIR */
  JINJA_N_PAIR,      /* first: second */
  JINJA_N_ATTRIBUTE, /* first.name */
  JINJA_N_ITEM,      /* first[second] */
  JINJA_N_SLICE,     /* first[second:third:fourth], any of the last three NULL */
  JINJA_N_CALL,      /* first(list of ARGUMENT) */
  JINJA_N_ARGUMENT,  /* name=first, or just first when name is empty */
  JINJA_N_FILTER,    /* first|name(list) */
  JINJA_N_TEST,      /* first is name(list) */
  JINJA_N_NOT,       /* first */
  JINJA_N_NEGATE,    /* first */
  JINJA_N_PLUS,      /* first */
  JINJA_N_AND,       /* first, second */
  JINJA_N_OR,        /* first, second */
  JINJA_N_BINARY,    /* first op second */
  JINJA_N_CONCAT,    /* list */
  JINJA_N_COMPARE,   /* first, then list of OPERAND */
  JINJA_N_OPERAND,   /* op first */
  JINJA_N_CONDITION, /* second if first else third (or NULL) */
  /* statements */
  JINJA_N_TEXT,      /* name: the template's own text */
  JINJA_N_PRINT,     /* first */
  JINJA_N_IF,        /* list of BRANCH */
  JINJA_N_BRANCH,    /* first: test (NULL: else); list: body */
  JINJA_N_FOR,       /* for first in second if third: list; else: fourth */
  JINJA_N_SET,       /* set first = second */
  JINJA_N_SET_BLOCK, /* set first | filters in second (or NULL): list */
  JINJA_N_FILTERED,  /* filter first: list */
  JINJA_N_SCOPE,     /* list, whose assignments stay inside */
  JINJA_N_MACRO,     /* name, first: chain of ARGUMENT (first: default), list: body */
  JINJA_N_BREAK,
  JINJA_N_CONTINUE
} jinja_node_type;

typedef struct jinja_node jinja_node;
struct jinja_node {
  jinja_node_type type;
  jinja_token_type op;
  uint32_t line;
  jinja_string name;
  jinja_value value;
  jinja_node *first, *second, *third, *fourth;
  jinja_node *list;
  jinja_node *next;
};

/* The name under which the text of a block is known to the filters applied to
 * it; no template can spell it. */
#define JINJA_BLOCK_TEXT "(block)"

/* *body is the first statement, NULL for an empty template. */
bool jinja_parse(jinja_session *j, const jinja_token *tokens, jinja_node **body);

/* --- between the two halves of the parser --- */

typedef struct jinja_parser {
  jinja_session *j;
  const jinja_token *token; /* the next one */
  unsigned loops;           /* for blocks around it, in the same macro */
} jinja_parser;

/* Appends nodes to a list. */
typedef struct jinja_chain {
  jinja_node *first, *last;
} jinja_chain;

jinja_node *jinja_new_node(jinja_parser *p, jinja_node_type type); /* at p->token's line */
void jinja_chain_add(jinja_chain *chain, jinja_node *node);
bool jinja_at_name(const jinja_parser *p, const char *name);
bool jinja_skip_name(jinja_parser *p, const char *name);
bool jinja_skip_token(jinja_parser *p, jinja_token_type type);
bool jinja_expect(jinja_parser *p, jinja_token_type type, const char *what);
/* "expected WHAT, found ..."; always false. */
bool jinja_unexpected(jinja_parser *p, const char *what);

/* These return NULL after an error. A tuple may stand without parentheses. */
jinja_node *jinja_parse_expression(jinja_parser *p, bool conditional);
jinja_node *jinja_parse_tuple(jinja_parser *p, bool conditional);
/* Names to assign to: a name, a tuple of them, or namespace.attribute. */
jinja_node *jinja_parse_target(jinja_parser *p, bool attributes);
/* "| filter | filter ..." applied to `node`. */
jinja_node *jinja_parse_filters(jinja_parser *p, jinja_node *node);
/* One filter and those after it, where the first bar is left out. */
jinja_node *jinja_parse_filter(jinja_parser *p, jinja_node *node);

#endif
