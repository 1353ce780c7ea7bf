/* gust: run Mistral- and Llama-shaped chat models from one quantized file.
 *
 * This is the whole public interface of the library.
 *
 * Ownership. Every gust_<object>_open or _create hands out an object that the
 * caller gives back to the matching _close or _destroy, which accept NULL.
 * A gust_model is immutable once open: any number of contexts, decoders and
 * samplers may use it, from any threads, as long as it outlives them. A
 * context, decoder or sampler belongs to one thread at a time. A thread that
 * feeds a context works along and needs 512 KiB of stack. Memory handed out as a
 * pointer to be freed is freed with gust_free.
 *
 * Errors. Functions that can fail return a gust_status and, when `err` is not
 * NULL, leave there one line of text: what failed, where, what was expected,
 * what was found and what to do. On failure an out parameter is set to NULL or
 * left as it was; nothing leaks. The library never prints, exits or aborts.
 *
 * Determinism. For one file, one token sequence and one key-value type the
 * logits are the same bits on every CPU level, thread count and way of cutting
 * the sequence into calls (docs/NUMERICS.md). Nor does the caller's floating-point
 * environment (rounding, flushing of subnormals, traps) matter on x86-64 and AArch64: it
 * is set to the default while logits or draws are computed, and given back; callbacks
 * run in the caller's. */
#ifndef GUST_H
#define GUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks the functions a shared library exports; they are all of those below.
 * GUST_BUILDING_DLL is for building the library itself on Windows. */
#if defined(_WIN32) && defined(GUST_BUILDING_DLL)
#define GUST_API __declspec(dllexport)
#elif defined(__GNUC__) && !defined(_WIN32)
#define GUST_API __attribute__((visibility("default")))
#else
#define GUST_API
#endif

#define GUST_VERSION "0.1.0"

/* The version of the library that is linked, as "major.minor.patch". */
GUST_API const char *gust_version(void);

/* --- Errors ------------------------------------------------------------- */

typedef enum gust_status {
  GUST_OK = 0,
  GUST_E_ARGUMENT = 1,     /* the caller broke a rule stated here */
  GUST_E_MEMORY = 2,       /* an allocation failed or a thread could not be started, or
                              there is too little memory to begin something with */
  GUST_E_IO = 3,           /* the operating system refused a read or write */
  GUST_E_FORMAT = 4,       /* a file is damaged, truncated or malformed */
  GUST_E_UNSUPPORTED = 5,  /* well formed, but asks for what gust lacks */
  GUST_E_CONTEXT_FULL = 6, /* no room for another position */
  GUST_E_CANCELLED = 7     /* a callback asked to stop */
} gust_status;

typedef struct gust_error {
  gust_status status;
  char text[512]; /* one line, no newline, NUL-terminated */
} gust_error;

/* Weights of a mapped file are read while they are used. When it was changed in place
 * since it was opened, whatever computes with them fails with GUST_E_IO; a file that
 * another one took the place of by renaming is unchanged. But where it became shorter,
 * or its disk fails, the system ends the process on POSIX systems (SIGBUS) before
 * anything can fail, unless this was called: it installs a handler of that signal, and
 * hands on to the one before what is no fault in a mapped file. For a program to
 * decide, once and early. False when the system refuses, each time it is asked, and on
 * Windows, where nobody can shorten a mapped file and there is nothing to install. */
GUST_API bool gust_guard_mapped_files(void);

/* A short name of a status, such as "damaged file"; never NULL. */
GUST_API const char *gust_status_name(gust_status status);

/* Called now and then during long work with `done` of `total` units (bytes or
 * tokens, as the function says). Returning true asks the work to stop; it then
 * fails with GUST_E_CANCELLED. Called on the thread that called the library. */
typedef bool gust_progress_fn(void *user, uint64_t done, uint64_t total);

/* Gives back what a function handed out "to be freed"; NULL is accepted. */
GUST_API void gust_free(void *memory);

/* XXH64 of the bytes: finds damage, not malice. */
GUST_API uint64_t gust_checksum(const void *bytes, size_t count, uint64_t seed);

/* --- CPU levels ---------------------------------------------------------- */

/* The names of the instruction-set levels this CPU can run, from slowest ("c",
 * always there) to fastest; NULL past the end. */
GUST_API const char *gust_cpu_level(size_t index);

/* The number of threads used when an option says 0: the physical cores this
 * process may run on; at least 1. */
GUST_API unsigned gust_default_threads(void);

/* --- Models --------------------------------------------------------------- */

typedef struct gust_model gust_model;

typedef enum gust_load {
  GUST_LOAD_AUTO = 0, /* copy when memory allows, else mmap */
  GUST_LOAD_MMAP = 1, /* map the file and read it ahead if memory holds it */
  GUST_LOAD_COPY = 2  /* read it into huge pages: decoding can be faster, depending on
                         the kernel and the file system */
} gust_load;

typedef struct gust_model_options {
  gust_load load;
  bool lazy;       /* a mapping's pages come in as they are used: for a look at the file */
  uint64_t bytes;  /* the file is the first so many of what lies there; 0: all */
  uint64_t memory; /* bytes: the most to count as available, and the figure taken when the
                      system tells none; 0: the system's */
  gust_progress_fn *progress; /* bytes; may be NULL */
  void *user;
} gust_model_options;

typedef struct gust_model_info {
  const char *architecture; /* "mistral" or "llama" */
  uint32_t vocab_size, hidden_size, intermediate_size, layers;
  uint32_t heads, kv_heads, head_dim;
  uint32_t max_positions;  /* positions the model was trained for */
  uint32_t sliding_window; /* positions a token can see; 0: all before it */
  double rope_theta;
  float norm_eps;
  bool tied_head;
  bool has_chat_template;
  int32_t bos_id; /* -1: none */
  size_t eos_count;
  const int32_t *eos_ids; /* any of these ends an answer */
  size_t tensor_count;
  uint64_t file_bytes;
  uint64_t weight_bytes_per_token; /* bytes of weights one decoded token reads */
  double bits_per_weight;          /* whole file, over true parameters */
  gust_load load;                  /* the way actually taken */
} gust_model_info;

typedef struct gust_tensor_info {
  const char *name;       /* as in the checkpoint */
  const char *type;       /* "f32", "bf16", "q8" or "q4" */
  uint32_t rank;          /* 1 or 2 */
  uint64_t shape[2];      /* [out, in] of a matrix, [length, 1] of a vector */
  uint64_t offset, bytes; /* place in the file */
  uint64_t checksum;      /* XXH64 of those bytes, seed 0 */
} gust_tensor_info;

/* One file the checkpoint was read from. */
typedef struct gust_source_info {
  const char *name;
  uint64_t bytes;
  char sha256[65]; /* lower-case hexadecimal */
} gust_source_info;

/* How far a file's predictions are from its source's in float32, measured on a
 * text when the file was written. docs/QUALITY.md has the protocol and the
 * formulas; standard errors are -1 where one chunk gives none. */
typedef struct gust_quality {
  uint32_t chunk, chunks;  /* tokens per chunk, chunks */
  uint8_t text_sha256[32]; /* of the text */
  double nll, nll_se;      /* nats per token */
  double reference_nll, reference_nll_se;
  double nll_difference, nll_difference_se; /* nll - reference_nll */
  double kl_mean, kl_mean_se, kl_median, kl_p99, kl_p999, kl_max;
  double top1_agree, top1_agree_se; /* a share, 0 to 1 */
} gust_quality;

/* The tensors of one type. */
typedef struct gust_receipt_type {
  const char *type;       /* "q4" ... */
  double bits_per_weight; /* bytes in the file over true parameters */
  double relative_error;  /* sqrt(sum (w - w')^2 / sum w^2) against the source */
} gust_receipt_type;

/* What the converter found out about the file it wrote. */
#define GUST_RECEIPT_TYPES 8
typedef struct gust_receipt_info {
  size_t type_count;
  gust_receipt_type types[GUST_RECEIPT_TYPES];
  double relative_error;  /* of all weights */
  uint32_t prompt_tokens; /* of the prompt the hash is of; 0: there is no hash */
  uint64_t logits_hash;   /* gust_context_logits_hash */
  bool measured;          /* `quality` holds */
  gust_quality quality;
} gust_receipt_info;

/* Opens a .gust file. `options` may be NULL. The file is taken as hostile:
 * every count, offset and size is checked, the header against its checksum, and a
 * copy's tensors against theirs (a mapping's by gust_model_verify). A copy that does not
 * fit into memory is refused, with GUST_E_MEMORY, before it is begun. */
GUST_API gust_status gust_model_open(gust_model **model, const char *path,
                                     const gust_model_options *options, gust_error *err);
/* Makes a model of a published shape with random weights, in memory: to measure
 * speed without a checkpoint. `shape` is "mistral-7b", "zephyr-7b",
 * "llama-2-7b", "llama-2-13b" or "demo"; `type` is "q4", "q8", "bf16" or "f32",
 * chosen per tensor as the converter does. The weights are the same at any
 * thread count and the logits finite. Each byte of text is a token; there is no
 * chat template. Progress in bytes. */
GUST_API gust_status gust_model_create_synthetic(gust_model **model, const char *shape,
                                                 const char *type, gust_progress_fn *progress,
                                                 void *user, gust_error *err);
GUST_API void gust_model_close(gust_model *model);

/* What follows is owned by the model and lives as long as it does. An index that is out
 * of range is a GUST_E_ARGUMENT, and *info is left as it was. */
GUST_API const gust_model_info *gust_model_get_info(const gust_model *model);
GUST_API gust_status gust_model_get_tensor(const gust_model *model, size_t index,
                                           gust_tensor_info *info);
GUST_API size_t gust_model_source_count(const gust_model *model);
GUST_API gust_status gust_model_get_source(const gust_model *model, size_t index,
                                           gust_source_info *info);
/* The checkpoint's chat template (Jinja source), or NULL. */
GUST_API const char *gust_model_chat_template(const gust_model *model);

/* Fills in the file's receipt; false when it has none. */
GUST_API bool gust_model_get_receipt(const gust_model *model, gust_receipt_info *receipt);

/* A number that two models share only when the same ids give the same logits and
 * the same text the same ids: XXH64 over hyper-parameters, tokenizer, chat
 * template, and every tensor's name, type, shape and checksum. However the model
 * was loaded, and wherever its file lies. */
GUST_API uint64_t gust_model_fingerprint(const gust_model *model);

/* Recomputes every tensor's checksum. Progress in bytes. Fails with
 * GUST_E_FORMAT naming the first tensor that differs, with GUST_E_IO when a mapped file
 * changed or cannot be read, and with GUST_E_CANCELLED. */
GUST_API gust_status gust_model_verify(const gust_model *model, gust_progress_fn *progress,
                                       void *user, gust_error *err);

/* --- Text ----------------------------------------------------------------- */

#define GUST_TOKENIZE_BOS 1u     /* begin with what the tokenizer puts before a text: <s> */
#define GUST_TOKENIZE_SPECIAL 2u /* read special tokens spelled in the text */
#define GUST_TOKENIZE_EOS                                        \
  4u /* with GUST_TOKENIZE_BOS: end with what it puts after one, \
      * mostly nothing; not for a text to be gone on with */

/* Text (any bytes; what is no UTF-8 becomes byte tokens) to ids in
 * [0, vocab_size), exactly as the checkpoint's tokenizer does. `flags` are the
 * three above; others are ignored. *ids is to be
 * freed; NULL when *count is 0. */
GUST_API gust_status gust_tokenize(const gust_model *model, const char *text, size_t bytes,
                                   unsigned flags, int32_t **ids, size_t *count, gust_error *err);

/* Ids to text, piece by piece. Special tokens yield nothing, nor do ids that only pad the
 * vocabulary. Whole UTF-8
 * characters only: bytes of an unfinished one wait for the next id, bytes that
 * can be no character become U+FFFD. */
typedef struct gust_decoder gust_decoder;
GUST_API gust_status gust_decoder_create(gust_decoder **decoder, const gust_model *model,
                                         gust_error *err);
/* *text stays valid until the next call; it is not NUL-terminated. */
GUST_API gust_status gust_decoder_push(gust_decoder *decoder, int32_t id, const char **text,
                                       size_t *bytes, gust_error *err);
/* Ends the sequence: of a character that never finished each byte comes out as
 * U+FFFD, and the decoder starts anew. */
GUST_API gust_status gust_decoder_finish(gust_decoder *decoder, const char **text, size_t *bytes,
                                         gust_error *err);
GUST_API void gust_decoder_destroy(gust_decoder *decoder);

typedef struct gust_message {
  const char *role; /* "system", "user" or "assistant" */
  const char *content;
  size_t bytes; /* of content, which may hold any UTF-8 text */
} gust_message;

/* Renders the model's chat template. With `open_answer` the prompt ends where
 * the assistant is to speak. Special tokens are read only in the template's
 * own text, never inside a message. What the tokenizer puts before a text (<s>) goes
 * before the prompt, unless the template writes it there itself. *ids is to be freed. */
GUST_API gust_status gust_chat_tokenize(const gust_model *model, const gust_message *messages,
                                        size_t count, bool open_answer, int32_t **ids,
                                        size_t *id_count, gust_error *err);
/* The same as text; *text is NUL-terminated and to be freed. */
GUST_API gust_status gust_chat_render(const gust_model *model, const gust_message *messages,
                                      size_t count, bool open_answer, char **text, gust_error *err);

/* The two above with another template (Jinja source) than the model's own; NULL
 * is the model's own. */
GUST_API gust_status gust_chat_tokenize_as(const gust_model *model, const char *chat_template,
                                           const gust_message *messages, size_t count,
                                           bool open_answer, int32_t **ids, size_t *id_count,
                                           gust_error *err);
GUST_API gust_status gust_chat_render_as(const gust_model *model, const char *chat_template,
                                         const gust_message *messages, size_t count,
                                         bool open_answer, char **text, gust_error *err);

/* The names of the templates gust brings along for checkpoints that came without
 * one, such as "chatml"; NULL past the end. Which one a checkpoint was trained
 * with cannot be told from it: it has to be chosen. */
GUST_API const char *gust_chat_template_name(size_t index);
/* Such a template's source by its name; NULL when there is none of that name. */
GUST_API const char *gust_chat_template_source(const char *name);

/* --- Contexts: a token sequence and its key-value cache -------------------- */

typedef struct gust_context gust_context;

typedef enum gust_kv { GUST_KV_F16 = 0, GUST_KV_F32 = 1, GUST_KV_Q8 = 2 } gust_kv;

typedef struct gust_context_options {
  size_t positions; /* most tokens the sequence may hold; 0: the model's own limit, or
                       fewer where memory has no room for those
                       (gust_context_capacity): as many as fit without swapping and leave
                       1/16 of what is available, at least 64 MiB, but not more than half of
                       what there is beyond a context of one position. Memory is used as the
                       sequence grows. */
  gust_kv kv;
  unsigned threads; /* 0: gust_default_threads() */
  const char *cpu;  /* fastest level to use, or NULL for the best there is */
  size_t batch;     /* most tokens computed at once in prefill; 0: 256 */
  uint64_t memory;  /* bytes: the most to count as available, and the figure taken when the
                       system tells none; 0: the system's */
} gust_context_options;

/* What a context takes, in bytes. */
typedef struct gust_context_memory {
  size_t positions;   /* the context's capacity */
  uint64_t cache;     /* keys and values of all positions; taken as the sequence grows */
  uint64_t scratch;   /* all else, taken at once: to compute in, stacks of threads */
  uint64_t available; /* before the context is made; where positions are asked for, with
                         free swap; 0: unknown, and everything counts as fitting that can
                         be addressed */
  size_t most;        /* most positions that fit, with the same options, but not more than
                         asked for or, where that is 0, than the model's own limit */
  size_t most_q8;     /* the same with keys and values in q8 */
} gust_context_memory;

/* Says what gust_context_create would take, and allocates nothing. Where it does not
 * fit that is no failure: cache + scratch are more than `available`, unless that is 0. */
GUST_API gust_status gust_context_measure(const gust_model *model,
                                          const gust_context_options *options,
                                          gust_context_memory *memory, gust_error *err);

/* Fails with GUST_E_MEMORY, naming the bytes needed, those available and the positions
 * that would fit, before anything is allocated, when the positions asked for would not
 * fit into memory once all of them are used. */
GUST_API gust_status gust_context_create(gust_context **context, const gust_model *model,
                                         const gust_context_options *options, gust_error *err);
/* Accepts NULL. What was got from the context is gone with it. */
GUST_API void gust_context_destroy(gust_context *context);

/* Appends `count` ids and computes the logits after the last of them.
 * Progress in tokens, between batches. Fails before changing anything when an
 * id is out of range, the sequence would not fit, or there is no memory for it. When it
 * fails later, cancelled or with GUST_E_IO since a mapped file changed, the batches that
 * were finished stay, gust_context_length says how much that is, and there are no
 * logits; the rest can be fed. */
GUST_API gust_status gust_context_feed(gust_context *context, const int32_t *ids, size_t count,
                                       gust_progress_fn *progress, void *user, gust_error *err);

/* Logits after one fed position: vocab_size floats, valid during the call.
 * Returning true stops the feed with GUST_E_CANCELLED. */
typedef bool gust_logits_fn(void *user, size_t position, const float *logits);

/* As gust_context_feed, handing the logits of every fed position in order. Stopped by
 * `fn`, the batch of that position stays whole: the context may hold more positions than
 * were handed out. */
GUST_API gust_status gust_context_score(gust_context *context, const int32_t *ids, size_t count,
                                        gust_logits_fn *fn, void *user, gust_error *err);

/* vocab_size logits after the last id, valid until the context changes; NULL
 * while there are none (nothing fed, or just truncated or cancelled). */
GUST_API const float *gust_context_logits(const gust_context *context);

/* Tokens in the sequence, and the most it may hold. */
GUST_API size_t gust_context_length(const gust_context *context);
GUST_API size_t gust_context_capacity(const gust_context *context);
/* The sequence: gust_context_length ids, which change with it. The pointer is the same
 * as long as the context lives. */
GUST_API const int32_t *gust_context_ids(const gust_context *context);
/* The CPU level in use, a name of gust_cpu_level, and the number of threads that
 * compute, the caller's among them. */
GUST_API const char *gust_context_cpu(const gust_context *context);
GUST_API unsigned gust_context_threads(const gust_context *context);

/* Forgets all but the first `length` ids. With sliding-window attention the
 * cache keeps little more than a window; when positions that would be needed
 * again are overwritten already, the context is emptied instead. The length
 * that is left is returned: `length`, or 0; with a `length` of all it holds or more
 * nothing changes, and that is what it holds. */
GUST_API size_t gust_context_truncate(gust_context *context, size_t length);

/* Empties the context, feeds it the fixed prompt of docs/FORMAT.md (section rcpt),
 * which every model has, and hashes the logits of all its positions: XXH64, seed 0,
 * of their little-endian float32 bytes, any NaN taken as 7fc00000. The first ids are
 * fed singly and the others at once (with progress on a slow machine, in a few pieces),
 * so that the kernels for one token and for many are used. By the numerics contract the
 * hash of one file is one number; another one means that weights, kernels, compiler or
 * memory are at fault. Needs a context with an f16 cache and room for
 * GUST_PROMPT_TOKENS, and leaves the prompt in it. Progress in tokens. */
#define GUST_PROMPT_TOKENS 24u
GUST_API gust_status gust_context_logits_hash(gust_context *context, gust_progress_fn *progress,
                                              void *user, uint64_t *hash, gust_error *err);

/* --- Saving a sequence: its key-value cache as bytes -------------------------- */

/* Changes when the bytes below change, or what they mean for the next logits. */
#define GUST_STATE_VERSION 1u

/* The key-value type the context was created with. */
GUST_API gust_kv gust_context_kv(const gust_context *context);

/* The first position whose keys and values are still stored: 0, or later where
 * sliding-window attention let new positions overwrite old ones. At most
 * gust_context_length. */
GUST_API size_t gust_context_state_first(const gust_context *context);

/* Bytes that positions [begin, end) take when saved, whether they are there or
 * not: a constant times their number, so that a part of what was saved together
 * can be loaded. 0 when end < begin or the product overflows. */
GUST_API size_t gust_context_state_bytes(const gust_context *context, size_t begin, size_t end);

/* Writes the keys and values of positions [begin, end) into bytes[count], position
 * by position, little-endian: the same bytes on every machine, and wherever the
 * positions lie in the cache. Needs gust_context_state_first <= begin <= end <=
 * gust_context_length and count = gust_context_state_bytes. */
GUST_API gust_status gust_context_save_state(const gust_context *context, size_t begin, size_t end,
                                             void *bytes, size_t count, gust_error *err);

/* Appends positions [begin, end) with what was saved of them by a context of the
 * same model (gust_model_fingerprint), key-value type and GUST_STATE_VERSION;
 * ids[end] are those of the whole sequence from position 0. `begin` is the
 * context's length; an empty context of a model with sliding-window attention may
 * begin later, since what the next token cannot see is not needed: feeding is
 * refused until what it sees is there. The next fed id gives the bits it
 * would have given in the context the state came from; until then there are no
 * logits. Bytes of unknown origin are safe, if pointless: any values are accepted.
 * Fails before changing anything when an id, the range or `count` is wrong, and
 * with GUST_E_CONTEXT_FULL when the context has fewer than `end` positions. */
GUST_API gust_status gust_context_load_state(gust_context *context, const int32_t *ids,
                                             size_t begin, size_t end, const void *bytes,
                                             size_t count, gust_error *err);

/* --- Sampling --------------------------------------------------------------- */

typedef struct gust_sampling {
  float temperature;    /* 0: greedy, the first of the largest logits */
  uint32_t top_k;       /* 0: off */
  float top_p;          /* 1: off */
  float min_p;          /* 0: off */
  float repeat_penalty; /* 1: off; applied to ids of the whole sequence */
  uint64_t seed;
} gust_sampling;

/* The checkpoint's generation defaults, and for what it left out temperature 0.7, top-k 50,
 * top-p 0.95, min-p 0, repeat penalty 1; seed 0. */
GUST_API gust_sampling gust_model_sampling(const gust_model *model);
/* The checkpoint's own limit on new tokens, or 0. */
GUST_API uint32_t gust_model_max_new_tokens(const gust_model *model);

typedef struct gust_sampler gust_sampler;
/* `sampling` is copied and not NULL; its ranges are checked. */
GUST_API gust_status gust_sampler_create(gust_sampler **sampler, const gust_model *model,
                                         const gust_sampling *sampling, gust_error *err);
GUST_API void gust_sampler_destroy(gust_sampler *sampler);
/* Where the sampler stands in its stream of random numbers; at first the seed.
 * Setting what was got before goes on as if never interrupted. */
GUST_API uint64_t gust_sampler_get_state(const gust_sampler *sampler);
GUST_API void gust_sampler_set_state(gust_sampler *sampler, uint64_t state);
/* Draws the id that follows the context's sequence. The same seed, options and
 * sequence of logits draw the same ids. The context is not changed. Fails with
 * GUST_E_ARGUMENT when the context has no logits, or a vocabulary of another size than
 * the model that the sampler was created for. */
GUST_API gust_status gust_sampler_draw(gust_sampler *sampler, const gust_context *context,
                                       int32_t *id, gust_error *err);

/* --- Generation: the loop most programs want ---------------------------------- */

typedef enum gust_finish {
  GUST_FINISH_EOS,     /* the model ended its answer */
  GUST_FINISH_LIMIT,   /* max_tokens were drawn */
  GUST_FINISH_CONTEXT, /* the context is full */
  GUST_FINISH_CALLBACK /* the callback asked to stop */
} gust_finish;

/* One drawn id and its text: `bytes` of it, not NUL-terminated, none while half
 * a character waits. What still waits at the end comes with id -1. Return true
 * to stop, after which it is not called again. */
typedef bool gust_token_fn(void *user, int32_t id, const char *text, size_t bytes);

/* Draws ids after what has been fed, handing each to `fn` (not NULL) and feeding
 * it, until an end. The end-of-sequence id is neither handed out nor fed; where
 * `fn` stops or the context is full, the last id handed out is not fed.
 * `decoder` makes their text; NULL: one that begins with the first of them, as for an
 * answer, and so drops a space there where the tokenizer's decoding does. Where they go
 * on a text, push its ids to a decoder and give that one. It is finished at the end,
 * except where `fn` stopped. max_tokens 0 means no limit but the context. `finish` may be
 * NULL and is left as it was on failure. */
GUST_API gust_status gust_generate(gust_context *context, gust_sampler *sampler,
                                   gust_decoder *decoder, size_t max_tokens, gust_token_fn *fn,
                                   void *user, gust_finish *finish, gust_error *err);

#ifdef __cplusplus
}
#endif
#endif
