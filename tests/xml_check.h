/* Whether a document is well-formed XML, as far as a picture of ours goes: no
 * comments, processing instructions, CDATA or document types. */
#ifndef GUST_XML_CHECK_H
#define GUST_XML_CHECK_H

#include <stddef.h>

/* "" when one element holds all the text, tags are balanced, attributes quoted and
 * named once, references known and all characters allowed; else what is wrong. */
const char *xml_check(const char *text, size_t bytes);

#endif
