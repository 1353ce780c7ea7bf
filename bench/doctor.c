#include "doctor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ascending.h"
#include "kernels.h"
#include "model.h"
#include "multiply_probe.h"

#define MEASUREMENTS 9u

static double share_in_huge_pages(const bandwidth_probe *probe) {
  size_t bytes;
  const void *data = bandwidth_probe_buffer(probe, &bytes);
  uint64_t huge;
  if (!machine_huge_bytes(&huge, "", (uintptr_t)data, bytes)) return (double)NAN;
  double share = (double)huge / (double)bytes;
  return share < 1 ? share : 1; /* the mapping may be larger than the buffer */
}

static gust_status measure_bandwidth(doctor_findings *f, gust_pool *pool,
                                     gust_progress_fn *progress, void *user, gust_error *err) {
  bandwidth_probe *probe;
  gust_status status = bandwidth_probe_create(&probe, pool, 0, progress, user, err);
  if (status) return status;
  double rates[MEASUREMENTS];
  for (size_t i = 0; i < MEASUREMENTS && !status; i++)
    status = bandwidth_probe_again(probe, &rates[i], err);
  if (!status) {
    qsort(rates, MEASUREMENTS, sizeof *rates, ascending);
    f->bandwidth = rates[MEASUREMENTS / 2];
    f->bandwidth_least = rates[0];
    f->bandwidth_best = bandwidth_probe_best(probe);
    f->huge_share = share_in_huge_pages(probe);
    bandwidth_probe_way(probe, f->bandwidth_way);
  }
  bandwidth_probe_destroy(probe);
  return status;
}

static gust_status predict_model(const doctor_findings *f, doctor_model *model, const char *type,
                                 gust_error *err) {
  gust_header header;
  gust_status status = gust_synthetic_header(&header, DOCTOR_SHAPE, type, err);
  if (status) return status;
  prediction_basis basis = {.level = f->level,
                            .eight_bits = strcmp(type, "q8") == 0,
                            .bandwidth = f->bandwidth,
                            .multiply_peak = f->multiply_peak,
                            .memory_available = f->facts.memory_available};
  status =
      model_context_bytes(&header, PREDICTION_POSITIONS, f->threads, &basis.context_bytes, err);
  model->type = type;
  model->cost = model_cost_of(&header);
  model->prediction = predict(&model->cost, &basis);
  gust_header_clear(&header);
  return status;
}

static gust_status predict_models(doctor_findings *f, gust_error *err) {
  static const char *const types[DOCTOR_MODELS] = {"q4", "q8"};
  gust_status status = GUST_OK;
  for (size_t i = 0; i < DOCTOR_MODELS && !status; i++)
    status = predict_model(f, &f->models[i], types[i], err);
  return status;
}

gust_status doctor_examine(doctor_findings *f, const char *cpu, unsigned threads,
                           gust_progress_fn *progress, void *user, gust_error *err) {
  gust_kernels kernels;
  memset(f, 0, sizeof *f);
  if (!gust_kernels_select(&kernels, cpu))
    return gust_fail(err, GUST_E_ARGUMENT, "unknown CPU level %s", cpu);
  f->level = kernels.level;
  f->threads = threads ? threads : gust_default_threads();
  cpu_name(f->cpu_model);
  machine_facts_here(&f->facts);
  gust_pool *pool = gust_pool_create(f->threads);
  if (!pool)
    return gust_fail(err, GUST_E_MEMORY, "cannot start %u threads; use fewer (--threads)",
                     f->threads);
  gust_status status = measure_bandwidth(f, pool, progress, user, err);
  if (!status) f->multiply_peak = probe_multiply_adds(pool, f->level);
  gust_pool_destroy(pool);
  return status ? status : predict_models(f, err);
}
