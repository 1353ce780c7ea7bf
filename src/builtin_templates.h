/* The chat templates gust brings along for checkpoints without one: the files of
 * src/templates, which scripts/embed_templates.c turns into this table when gust
 * is built. */
#ifndef GUST_BUILTIN_TEMPLATES_H
#define GUST_BUILTIN_TEMPLATES_H

typedef struct gust_builtin_template {
  const char *name;   /* of the file, without ".jinja" */
  const char *source; /* Jinja, as the checkpoints of that kind hold it */
} gust_builtin_template;

/* In the order of src/meson.build; ended by name NULL. */
extern const gust_builtin_template gust_builtin_templates[];

#endif
