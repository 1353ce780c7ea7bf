/* The tensors, shard by shard. */
#include "conversion.h"
#include "os.h"
#include "status.h"

#define MAX_THREADS 1024u
#define HASH_BYTES ((size_t)16 << 20) /* hashed between two calls of progress */

static gust_status finish_tensor(void *user, const packed_tensor *tensor, gust_error *err) {
  conversion *c = user;
  conversion_count_tensor(c, tensor->target, tensor->error, tensor->energy);
  journal_entry entry = {tensor->target->checksum, tensor->error, tensor->energy, tensor->hash};
  return journal_finish(&c->journal, (size_t)(tensor->target - c->header.tensors), &entry, err);
}

/* Takes in a tensor that is not converted here; counted: its bytes are progress. */
static gust_status hash_source(conversion *c, const safetensors_file *file,
                               const safetensors_tensor *source, bool counted, gust_sha256 *hash,
                               gust_error *err) {
  for (size_t at = 0; at < source->bytes; at += HASH_BYTES) {
    size_t bytes = source->bytes - at < HASH_BYTES ? source->bytes - at : HASH_BYTES;
    gust_sha256_update(hash, file->map.data + source->offset + at, bytes);
    os_dont_need(&file->map, source->offset + at, bytes);
    if (conversion_advance(c, counted ? bytes : 0)) return conversion_fail_stopped(c, err);
  }
  return GUST_OK;
}

/* In the order of the source's bytes, which is the order they are hashed in and
 * the one a disk likes; the writer puts them where the header says. */
static gust_status convert_shard(conversion *c, size_t shard, gust_error *err) {
  const safetensors_file *file = &c->source.shards[shard].file;
  gust_sha256 hash;
  gust_sha256_begin(&hash);
  size_t begin;
  gust_status status = conversion_resume_shard(c, shard, &begin, &hash, err);
  if (status) return status;
  if (begin == 0) gust_sha256_update(&hash, file->map.data, file->data_begin);
  for (size_t i = begin; i < file->tensor_count; i++) {
    const safetensors_tensor *source = &file->tensors[i];
    size_t index = c->map.targets[shard][i];
    bool done = index != TENSOR_MAP_NONE && c->calibrated && c->calibrated[index];
    if (index == TENSOR_MAP_NONE || done) {
      status = hash_source(c, file, source, !done, &hash, err);
    } else {
      status = tensor_packer_run(&c->packer, file, source, &c->header.tensors[index], &hash, err);
    }
    if (status) return status;
  }
  gust_sha256_end(&hash, c->header.sources[shard].sha256);
  return GUST_OK;
}

gust_status conversion_pack(conversion *c, gust_error *err) {
  gust_status status = GUST_OK;
  for (size_t i = 0; i < c->source.shard_count && !status; i++) status = convert_shard(c, i, err);
  /* When stopped as well: what is packed is worth keeping. */
  if (!status) return tensor_packer_flush(&c->packer, err);
  if (status == GUST_E_CANCELLED) tensor_packer_flush(&c->packer, NULL);
  return status;
}

gust_status conversion_start_workers(conversion *c, gust_error *err) {
  unsigned threads = c->options.threads ? c->options.threads : os_physical_cores();
  if (threads > MAX_THREADS)
    return gust_fail(err, GUST_E_ARGUMENT, "threads: expected 0 to %u, found %u", MAX_THREADS,
                     threads);
  c->pool = gust_pool_create(threads);
  if (!c->pool) return gust_fail_threads(err, threads);
  gust_kernels kernels;
  if (!gust_kernels_select(&kernels, c->options.cpu))
    return gust_fail(err, GUST_E_ARGUMENT,
                     "unknown CPU level \"%.40s\"; expected " GUST_KERNEL_LEVELS, c->options.cpu);
  const packer_calls calls = {conversion_advance, finish_tensor, c};
  return tensor_packer_create(&c->packer, &kernels, c->pool, &c->writer, &calls, err);
}
