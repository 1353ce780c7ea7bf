#include "bench_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/human.h"
#include "cli/json_out.h"

double bench_report_bandwidth_fraction(const bench_report *r) {
  return r->speed.decode.median * (double)r->weight_bytes_per_token / r->bandwidth;
}

/* NaN when either is missing. */
static double peak_fraction(const bench_report *r) {
  return r->multiply_adds / r->multiply_peak;
}

/* --- for programs: the same fields as JSON and CSV ----------------------------------- */

typedef enum field_kind { FIELD_TEXT, FIELD_COUNT, FIELD_REAL } field_kind;

typedef struct field {
  const char *name;
  field_kind kind;
  const char *text;
  uint64_t count;
  double real; /* NaN: nothing was measured */
} field;

#define FIELDS 25

static size_t list_fields(const bench_report *r, field fields[FIELDS]) {
  const field all[] = {
      {.name = "model", .text = r->model},
      {.name = "type", .text = r->type},
      {.name = "cpu", .text = r->cpu},
      {.name = "cpu_model", .text = r->cpu_model},
      {.name = "threads", .kind = FIELD_COUNT, .count = r->threads},
      {.name = "kv", .text = r->kv},
      {.name = "load", .text = r->load},
      {.name = "prompt", .kind = FIELD_COUNT, .count = r->plan.prompt},
      {.name = "gen", .kind = FIELD_COUNT, .count = r->plan.gen},
      {.name = "depth", .kind = FIELD_COUNT, .count = r->plan.depth},
      {.name = "reps", .kind = FIELD_COUNT, .count = r->plan.repetitions},
      {.name = "bandwidth_gbs", .kind = FIELD_REAL, .real = r->bandwidth * 1e-9},
      {.name = "weight_bytes_per_token", .kind = FIELD_COUNT, .count = r->weight_bytes_per_token},
      {.name = "prefill_tps", .kind = FIELD_REAL, .real = r->speed.prefill.median},
      {.name = "prefill_tps_min", .kind = FIELD_REAL, .real = r->speed.prefill.least},
      {.name = "prefill_tps_max", .kind = FIELD_REAL, .real = r->speed.prefill.most},
      {.name = "prefill_gmacs", .kind = FIELD_REAL, .real = r->multiply_adds * 1e-9},
      {.name = "peak_gmacs", .kind = FIELD_REAL, .real = r->multiply_peak * 1e-9},
      {.name = "prefill_peak_fraction", .kind = FIELD_REAL, .real = peak_fraction(r)},
      {.name = "decode_tps", .kind = FIELD_REAL, .real = r->speed.decode.median},
      {.name = "decode_tps_min", .kind = FIELD_REAL, .real = r->speed.decode.least},
      {.name = "decode_tps_max", .kind = FIELD_REAL, .real = r->speed.decode.most},
      {.name = "decode_bandwidth_fraction",
       .kind = FIELD_REAL,
       .real = bench_report_bandwidth_fraction(r)},
  };
  _Static_assert(sizeof all / sizeof *all <= FIELDS, "all fields have room");
  memcpy(fields, all, sizeof all);
  return sizeof all / sizeof *all;
}

void bench_report_json(const bench_report *report) {
  field fields[FIELDS];
  size_t count = list_fields(report, fields);
  json_out json = {.file = stdout};
  json_out_open_object(&json, NULL, true);
  for (size_t i = 0; i < count; i++) {
    switch (fields[i].kind) {
      case FIELD_TEXT: json_out_string(&json, fields[i].name, fields[i].text); break;
      case FIELD_COUNT: json_out_count(&json, fields[i].name, fields[i].count); break;
      case FIELD_REAL: json_out_real(&json, fields[i].name, fields[i].real); break;
    }
  }
  json_out_close(&json);
}

/* Quoted as RFC 4180 has it. */
static void print_quoted(const char *text) {
  putchar('"');
  for (; *text; text++) {
    if (*text == '"') putchar('"');
    putchar(*text);
  }
  putchar('"');
}

void bench_report_csv(const bench_report *report) {
  field fields[FIELDS];
  size_t count = list_fields(report, fields);
  for (size_t i = 0; i < count; i++) printf("%s%s", i ? "," : "", fields[i].name);
  putchar('\n');
  for (size_t i = 0; i < count; i++) {
    const field *f = &fields[i];
    if (i) putchar(',');
    if (f->kind == FIELD_TEXT && f->text) print_quoted(f->text);
    if (f->kind == FIELD_COUNT) printf("%llu", (unsigned long long)f->count);
    if (f->kind == FIELD_REAL && isfinite(f->real)) printf("%.6g", f->real);
  }
  putchar('\n');
}

/* --- for people ----------------------------------------------------------------------- */

static void print_speed(const char *label, const throughput_spread *speed) {
  printf("%-18s %.2f t/s, from %.2f to %.2f\n", label, speed->median, speed->least, speed->most);
}

void bench_report_text(const bench_report *r) {
  char bytes[HUMAN_BYTES], label[64];
  printf("model              %s", r->model);
  if (r->type) printf(", %s, random weights", r->type);
  printf("\nprocessor          %s\n", r->cpu_model);
  printf("running            %s, %u thread%s, load %s, kv %s\n", r->cpu, r->threads,
         r->threads == 1 ? "" : "s", r->load, r->kv);
  printf("read bandwidth     %.2f GB/s\n", r->bandwidth * 1e-9);
  printf("weights per token  %s\n", human_bytes(bytes, (double)r->weight_bytes_per_token));
  if (r->plan.prompt) {
    snprintf(label, sizeof label, "prefill %zu", r->plan.prompt);
    print_speed(label, &r->speed.prefill);
    if (isfinite(r->multiply_adds))
      printf("%-18s %.1f G multiply-adds/s", "", r->multiply_adds * 1e-9);
    if (isfinite(peak_fraction(r)))
      printf(", %.1f %% of the peak of %.0f", 100 * peak_fraction(r), r->multiply_peak * 1e-9);
    if (isfinite(r->multiply_adds)) putchar('\n');
  }
  if (!r->plan.gen) return;
  snprintf(label, sizeof label, "decode %zu", r->plan.gen);
  if (r->plan.depth) snprintf(label, sizeof label, "decode %zu @ %zu", r->plan.gen, r->plan.depth);
  print_speed(label, &r->speed.decode);
  double fraction = bench_report_bandwidth_fraction(r);
  printf("%-18s %.2f GB/s of weights, %.1f %% of the read bandwidth\n", "",
         fraction * r->bandwidth * 1e-9, 100 * fraction);
}

static void print_cell(const char *text) {
  for (; *text; text++) {
    if (*text == '|') putchar('\\');
    putchar(*text);
  }
}

static void print_row(const bench_report *r, const char *test, const throughput_spread *speed,
                      double fraction, const char *limit) {
  printf("| ");
  print_cell(r->model);
  printf("%s%s | ", r->type ? " " : "", r->type ? r->type : "");
  print_cell(r->cpu_model);
  printf(" | %s | %u | %s | %s | %s | %.2f | %.2f to %.2f | ", r->cpu, r->threads, r->load, r->kv,
         test, speed->median, speed->least, speed->most);
  if (isfinite(fraction)) printf("%.2f of %s", fraction, limit);
  printf(" |\n");
}

void bench_report_markdown(const bench_report *r) {
  char test[64], limit[64];
  printf("| model | processor | level | threads | load | kv | test | t/s | spread | limit |\n");
  printf("|---|---|---|--:|---|---|---|--:|---|---|\n");
  if (r->plan.prompt) {
    snprintf(test, sizeof test, "prefill %zu", r->plan.prompt);
    snprintf(limit, sizeof limit, "%.0f G multiply-adds/s", r->multiply_peak * 1e-9);
    print_row(r, test, &r->speed.prefill, peak_fraction(r), limit);
  }
  if (!r->plan.gen) return;
  snprintf(test, sizeof test, "decode %zu @ %zu", r->plan.gen, r->plan.depth);
  snprintf(limit, sizeof limit, "%.2f GB/s", r->bandwidth * 1e-9);
  print_row(r, test, &r->speed.decode, bench_report_bandwidth_fraction(r), limit);
}
