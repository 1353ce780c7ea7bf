/* Offsets and section tags of a .gust header, shared by its encoder and its
 * decoder; docs/FORMAT.md gives them their meaning. */
#ifndef GUST_FORMAT_LAYOUT_H
#define GUST_FORMAT_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* Prologue. */
enum {
  PROLOGUE_MAGIC = 0,
  PROLOGUE_VERSION = 8,
  PROLOGUE_FLAGS = 12,
  PROLOGUE_HEADER_BYTES = 16,
  PROLOGUE_FILE_BYTES = 24,
  PROLOGUE_SUMMED = 32, /* the checksum covers what is before it, and the sections */
  PROLOGUE_CHECKSUM = 32,
  PROLOGUE_RESERVED = 40
};

/* Section: tag, zero, length of the payload, payload, zeros up to 8. */
#define SECTION_HEAD 16u
#define SECTION_ALIGN 8u

#define TAG(a, b, c, d) \
  ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define TAG_CONFIG TAG('C', 'O', 'N', 'F')
#define TAG_GENERATION TAG('G', 'E', 'N', 'R')
#define TAG_TOKENIZER TAG('T', 'O', 'K', 'N')
#define TAG_TEMPLATE TAG('T', 'M', 'P', 'L')
#define TAG_SOURCES TAG('S', 'R', 'C', 'S')
#define TAG_RECEIPT TAG('r', 'c', 'p', 't')
#define TAG_TENSORS TAG('T', 'E', 'N', 'S')

/* Payload sizes; of list entries, the part before the name. */
#define CONFIG_BYTES 96u
#define GENERATION_BYTES 24u
#define LIST_HEAD 8u
#define SOURCE_BYTES 48u
#define TENSOR_BYTES 56u

#define CONFIG_FLAG_TIED_HEAD 1u

#define RECEIPT_VERSION 1u
#define RECEIPT_HEAD 24u
#define RECEIPT_PART_BYTES 24u
#define RECEIPT_FLAG_MEASURED 1u
#define RECEIPT_QUALITY_BYTES 152u

#define MAX_NAME_BYTES 255u

#endif
