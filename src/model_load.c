/* Copying reads the file with all threads into huge pages: the same bytes as the
 * mapping, gone with the process. They can be faster to walk: it depends on the
 * pages in which kernel and file system hold the file. Mapping shares the pages of
 * the file between processes and runs; they are read ahead, with all threads as
 * well, unless there is no room for them. docs/BENCHMARKS.md compares the two. */
#include "model_load.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "pool.h"

/* The file is taken in parts of this size, which threads share; progress is
 * reported, and cancelling possible, between steps of so many parts. */
#define PART_BYTES ((uint64_t)4 << 20)
#define PARTS_PER_STEP 16u

typedef struct load_job {
  const os_map *map;
  os_file file;    /* when copying */
  uint8_t *target; /* when copying */
  uint64_t begin, bytes;
  int *errors; /* errno, per worker */
} load_job;

static uint64_t part_bytes(const load_job *job, uint64_t offset) {
  uint64_t left = job->bytes - offset;
  return left < PART_BYTES ? left : PART_BYTES;
}

static void copy_parts(void *arg, size_t begin, size_t end, unsigned worker) {
  load_job *job = arg;
  for (size_t i = begin; i < end; i++) {
    uint64_t offset = job->begin + i * PART_BYTES;
    if (!os_read_at(job->file, job->target + offset, (size_t)part_bytes(job, offset), offset))
      job->errors[worker] = errno;
  }
}

static void fetch_parts(void *arg, size_t begin, size_t end, unsigned worker) {
  load_job *job = arg;
  for (size_t i = begin; i < end; i++) {
    uint64_t offset = job->begin + i * PART_BYTES;
    if (!os_fetch(job->map, (size_t)offset, (size_t)part_bytes(job, offset)))
      job->errors[worker] = errno;
  }
}

/* --- checking a copy ------------------------------------------------------------- */

typedef struct sum_job {
  const gust_model *model;
  atomic_bool differs;
} sum_job;

static void sum_tensors(void *arg, size_t begin, size_t end, unsigned worker) {
  sum_job *job = arg;
  (void)worker;
  for (size_t i = begin; i < end; i++) {
    const gust_tensor *t = &job->model->header.tensors[i];
    if (gust_xxh64_of(job->model->file + t->offset, (size_t)t->bytes, 0) != t->checksum)
      atomic_store(&job->differs, true);
  }
}

/* All bytes have just passed through memory: summing them with all threads adds little. */
static gust_status check_copy(const gust_model *model, gust_pool *pool, const char *path,
                              gust_error *err) {
  sum_job job = {.model = model};
  gust_error which;
  gust_pool_run(pool, sum_tensors, &job, model->header.tensor_count, 1);
  if (!atomic_load(&job.differs)) return GUST_OK;
  gust_status status = gust_model_verify(model, NULL, NULL, &which);
  return status ? gust_fail(err, status, "%s: %s", path, which.text) : GUST_OK;
}

/* --- reading it all -------------------------------------------------------------- */

static gust_status run_steps(load_job *job, gust_pool *pool, gust_pool_fn *fn, const char *path,
                             const gust_model_options *options, gust_error *err) {
  for (job->begin = 0; job->begin < job->bytes;) {
    uint64_t left = job->bytes - job->begin, step = PART_BYTES * PARTS_PER_STEP;
    if (left < step) step = left;
    /* The next step is on its way from the disk while this one is taken. */
    os_will_need(job->map, (size_t)job->begin, (size_t)(2 * step));
    gust_pool_run(pool, fn, job, (size_t)((step + PART_BYTES - 1) / PART_BYTES), 1);
    for (unsigned i = 0; i < gust_pool_threads(pool); i++)
      if (job->errors[i])
        return gust_fail(err, GUST_E_IO, "%s: cannot read: %s; is the file still being written?",
                         path, strerror(job->errors[i]));
    job->begin += step;
    if (options->progress && options->progress(options->user, job->begin, job->bytes))
      return gust_fail(err, GUST_E_CANCELLED, "%s: loading was cancelled", path);
  }
  return GUST_OK;
}

static gust_status run_job(const gust_model *model, load_job *job, gust_pool_fn *fn,
                           const char *path, const gust_model_options *options, gust_error *err) {
  unsigned threads = gust_default_threads();
  gust_pool *pool = gust_pool_create(threads);
  job->errors = calloc(threads, sizeof *job->errors);
  gust_status status;
  if (!pool || !job->errors)
    status = gust_fail_threads(err, threads);
  else
    status = run_steps(job, pool, fn, path, options, err);
  if (!status && job->target) status = check_copy(model, pool, path, err);
  free(job->errors);
  gust_pool_destroy(pool);
  return status;
}

/* --- the two ways ---------------------------------------------------------------- */

/* Whether what bears the name now is what was mapped: of that length, and with that
 * header, whose checksum stands in the prologue. */
static gust_status check_same(const gust_model *model, os_file file, uint64_t bytes,
                              const char *path, gust_error *err) {
  uint8_t prologue[GUST_PROLOGUE_BYTES];
  if (bytes != model->map.bytes)
    return gust_fail(err, GUST_E_IO,
                     "%s: expected %zu bytes, found %llu: it was replaced meanwhile; try again",
                     path, model->map.bytes, (unsigned long long)bytes);
  if (!os_read_at(file, prologue, sizeof prologue, 0))
    return gust_fail(err, GUST_E_IO, "%s: cannot read: %s", path, strerror(errno));
  if (memcmp(prologue, model->map.data, sizeof prologue) != 0)
    return gust_fail(err, GUST_E_IO,
                     "%s: expected the header it had, found another: it was replaced meanwhile; "
                     "try again",
                     path);
  return GUST_OK;
}

static gust_status copy_file(gust_model *model, const char *path, const gust_model_options *options,
                             uint64_t available, gust_error *err) {
  uint64_t bytes = model->header.file_bytes;
  if (bytes > SIZE_MAX / 2 || (available && bytes > available))
    return gust_fail(err, GUST_E_MEMORY,
                     "%s: expected %llu bytes of free memory for a copy, found %llu; mapping the "
                     "file (--load mmap) needs none",
                     path, (unsigned long long)bytes, (unsigned long long)available);
  os_file file = os_open_read(path, &bytes);
  if (file < 0)
    return gust_fail(err, GUST_E_IO, "%s: cannot read again: %s", path, strerror(errno));
  gust_status status = check_same(model, file, bytes, path, err);
  model->copy_bytes = (size_t)model->header.file_bytes;
  if (!status) {
    model->copy = os_reserve(model->copy_bytes);
    if (!model->copy || !os_commit(model->copy, 0, model->copy_bytes))
      status = gust_fail_memory(err, "a copy of the model (mapping the file needs none)",
                                model->copy_bytes);
  }
  if (!status) {
    model->file = model->copy;
    load_job job = {
        .map = &model->map, .file = file, .target = model->copy, .bytes = model->copy_bytes};
    status = run_job(model, &job, copy_parts, path, options, err);
  }
  os_close(file);
  return status;
}

/* Pages that do not fit would push each other out: then they come in as they are
 * used. */
static gust_status map_file(gust_model *model, const char *path, const gust_model_options *options,
                            uint64_t available, gust_error *err) {
  model->file = model->map.data;
  uint64_t bytes = model->header.file_bytes;
  if (options->lazy || bytes > available) return GUST_OK;
  load_job job = {.map = &model->map, .bytes = bytes};
  return run_job(model, &job, fetch_parts, path, options, err);
}

gust_status gust_model_load(gust_model *model, const char *path, const gust_model_options *options,
                            gust_error *err) {
  gust_load load = options->load;
  if (load != GUST_LOAD_AUTO && load != GUST_LOAD_MMAP && load != GUST_LOAD_COPY)
    return gust_fail(err, GUST_E_ARGUMENT, "%s: unknown way of loading %d", path, (int)load);
  uint64_t available = os_available_memory();
  if (options->memory && (available == 0 || options->memory < available))
    available = options->memory;
  if (load == GUST_LOAD_AUTO)
    load = gust_auto_copies(model->header.file_bytes, available) ? GUST_LOAD_COPY : GUST_LOAD_MMAP;
  if (load == GUST_LOAD_COPY) {
    model->info.load = load;
    gust_status status = copy_file(model, path, options, available, err);
    if (status != GUST_E_MEMORY || options->load != GUST_LOAD_AUTO) return status;
    /* What counted as available need not be had: ulimit -d, strict accounting. */
    if (model->copy) os_release(model->copy, model->copy_bytes);
    model->copy = NULL;
  }
  model->info.load = GUST_LOAD_MMAP;
  return map_file(model, path, options, available, err);
}
