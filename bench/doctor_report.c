#include <math.h>
#include <stdio.h>

#include "cli/human.h"
#include "cli/json_out.h"
#include "doctor.h"

const char *doctor_limit_name(prediction_limit limit) {
  static const char *const names[] = {
      [LIMIT_BANDWIDTH] = "memory bandwidth",
      [LIMIT_MAPPED] = "memory bandwidth through a mapped file",
      [LIMIT_DISK] = "the disk: memory does not hold the file",
      [LIMIT_LEVEL] = "arithmetic in plain C",
  };
  return names[limit];
}

/* --- for people ---------------------------------------------------------------------- */

static void print_cores(const machine_facts *facts) {
  unsigned cores = facts->performance_cores + facts->efficiency_cores;
  printf("cores              ");
  if (facts->efficiency_cores)
    printf("%u performance, %u efficiency", facts->performance_cores, facts->efficiency_cores);
  else
    printf("%u", cores);
  if (facts->cpus > cores)
    printf(" (%u threads)\n", facts->cpus);
  else
    printf("%s\n", facts->cpus ? ", one thread each" : "");
}

static void print_levels(const doctor_findings *f) {
  const char *level;
  printf("levels            ");
  for (size_t i = 0; (level = gust_cpu_level(i)) != NULL; i++) printf(" %s", level);
  printf("; gust uses %s on %u thread%s\n", f->level, f->threads, f->threads == 1 ? "" : "s");
}

static void print_memory(const machine_facts *facts) {
  char total[HUMAN_BYTES], available[HUMAN_BYTES];
  printf("memory             %s, %s free\n",
         facts->memory_total ? human_bytes(total, (double)facts->memory_total) : "unknown",
         facts->memory_available ? human_bytes(available, (double)facts->memory_available)
                                 : "unknown amount");
}

static void print_pages(const doctor_findings *f) {
  const machine_facts *facts = &f->facts;
  const char *policy = huge_page_policy_name(facts->huge_pages);
  printf("pages              %llu bytes", (unsigned long long)facts->page_bytes);
  if (facts->huge_page_bytes)
    printf(", huge ones %llu", (unsigned long long)facts->huge_page_bytes);
  printf("; transparent huge pages: %s", policy ? policy : "unknown");
  if (!isnan(f->huge_share)) printf(", got for %.0f %%", 100 * f->huge_share);
  putchar('\n');
}

static void print_limits(const doctor_findings *f) {
  printf("read bandwidth     %.1f GB/s, from %.1f to %.1f (%s)\n", f->bandwidth * 1e-9,
         f->bandwidth_least * 1e-9, f->bandwidth_best * 1e-9, f->bandwidth_way);
  if (f->multiply_peak > 0)
    printf("integer rate       %.0f G multiply-adds/s\n", f->multiply_peak * 1e-9);
  else
    printf("integer rate       unknown: no probe for level %s\n", f->level);
}

/* "8.62", or "unknown". */
static const char *spell_rate(char text[HUMAN_BYTES], double tps) {
  if (isnan(tps)) return "unknown";
  snprintf(text, HUMAN_BYTES, tps < 9.995 ? "%.2f" : "%.1f", tps);
  return text;
}

/* From shares of the limits that nobody has measured for this level and type. */
static bool is_assumed(const prediction *p) {
  return !p->measured && !isnan(p->decode_fraction);
}

static void print_models(const doctor_findings *f) {
  bool some_assumed = false;
  printf("\n%-18s %9s %9s %6s %12s %12s  %s\n", DOCTOR_SHAPE, "file", "memory", "load",
         "prefill t/s", "decode t/s", "limit of decode");
  for (size_t i = 0; i < DOCTOR_MODELS; i++) {
    const doctor_model *model = &f->models[i];
    const prediction *p = &model->prediction;
    char file[HUMAN_BYTES], memory[HUMAN_BYTES], prefill[HUMAN_BYTES], decode[HUMAN_BYTES];
    printf("%-18s %9s %9s %6s %12s %12s  %s%s\n", model->type,
           human_bytes(file, (double)model->cost.file_bytes),
           human_bytes(memory, (double)p->peak_memory), p->copy ? "copy" : "mmap",
           spell_rate(prefill, p->prefill_tps), spell_rate(decode, p->decode_tps),
           doctor_limit_name(p->limit), is_assumed(p) ? " *" : "");
    some_assumed = some_assumed || is_assumed(p);
  }
  printf("predicted with %u positions of f16 cache; gust bench --synthetic %s measures\n",
         PREDICTION_POSITIONS, DOCTOR_SHAPE);
  if (some_assumed)
    printf("* nobody has measured level %s with this type yet: expect less or more\n", f->level);
}

void doctor_print_text(const doctor_findings *f) {
  char lines[DOCTOR_ADVICE_MOST][DOCTOR_ADVICE_BYTES];
  printf("processor          %s%s\n", f->cpu_model,
         f->facts.virtual_machine ? ", in a virtual machine" : "");
  print_cores(&f->facts);
  print_levels(f);
  print_memory(&f->facts);
  print_pages(f);
  print_limits(f);
  print_models(f);
  size_t count = doctor_advise(f, lines);
  if (count) putchar('\n');
  for (size_t i = 0; i < count; i++) printf("- %s\n", lines[i]);
}

/* --- for programs ----------------------------------------------------------------------- */

/* 0 says that the system did not tell. */
static void count_or_null(json_out *json, const char *key, uint64_t count) {
  if (count)
    json_out_count(json, key, count);
  else
    json_out_string(json, key, NULL);
}

static void write_machine(json_out *json, const doctor_findings *f) {
  const machine_facts *facts = &f->facts;
  const char *level;
  json_out_string(json, "cpu_model", f->cpu_model);
  json_out_open_array(json, "levels", false);
  for (size_t i = 0; (level = gust_cpu_level(i)) != NULL; i++) json_out_string(json, NULL, level);
  json_out_close(json);
  json_out_string(json, "cpu", f->level);
  json_out_count(json, "threads", f->threads);
  count_or_null(json, "logical_cpus", facts->cpus);
  json_out_count(json, "performance_cores", facts->performance_cores);
  json_out_count(json, "efficiency_cores", facts->efficiency_cores);
  json_out_bool(json, "virtual_machine", facts->virtual_machine);
  count_or_null(json, "memory_total", facts->memory_total);
  count_or_null(json, "memory_available", facts->memory_available);
  count_or_null(json, "page_bytes", facts->page_bytes);
  count_or_null(json, "huge_page_bytes", facts->huge_page_bytes);
  json_out_string(json, "transparent_huge_pages", huge_page_policy_name(facts->huge_pages));
  json_out_real(json, "huge_share", f->huge_share);
  json_out_real(json, "bandwidth_gbs", f->bandwidth * 1e-9);
  json_out_real(json, "bandwidth_min_gbs", f->bandwidth_least * 1e-9);
  json_out_real(json, "bandwidth_best_gbs", f->bandwidth_best * 1e-9);
  json_out_string(json, "bandwidth_loop", f->bandwidth_way);
  json_out_real(json, "peak_gmacs", f->multiply_peak > 0 ? f->multiply_peak * 1e-9 : (double)NAN);
}

static void write_model(json_out *json, const doctor_model *model) {
  const prediction *p = &model->prediction;
  json_out_open_object(json, NULL, true);
  json_out_string(json, "model", DOCTOR_SHAPE);
  json_out_string(json, "type", model->type);
  json_out_count(json, "file_bytes", model->cost.file_bytes);
  json_out_count(json, "peak_memory_bytes", p->peak_memory);
  json_out_string(json, "load", p->copy ? "copy" : "mmap");
  json_out_count(json, "weight_bytes_per_token", model->cost.weight_bytes_per_token);
  json_out_real(json, "multiply_adds_per_token", model->cost.layer_multiply_adds);
  json_out_bool(json, "fractions_measured", p->measured);
  json_out_real(json, "prefill_peak_fraction", p->prefill_fraction);
  json_out_real(json, "prefill_tps", p->prefill_tps);
  json_out_real(json, "decode_bandwidth_fraction", p->decode_fraction);
  json_out_real(json, "decode_tps", p->decode_tps);
  json_out_string(json, "decode_limit", doctor_limit_name(p->limit));
  json_out_close(json);
}

void doctor_print_json(const doctor_findings *f) {
  char lines[DOCTOR_ADVICE_MOST][DOCTOR_ADVICE_BYTES];
  json_out json = {.file = stdout};
  json_out_open_object(&json, NULL, true);
  write_machine(&json, f);
  json_out_open_array(&json, "predictions", true);
  for (size_t i = 0; i < DOCTOR_MODELS; i++) write_model(&json, &f->models[i]);
  json_out_close(&json);
  json_out_open_array(&json, "advice", true);
  size_t count = doctor_advise(f, lines);
  for (size_t i = 0; i < count; i++) json_out_string(&json, NULL, lines[i]);
  json_out_close(&json);
  json_out_close(&json);
}
