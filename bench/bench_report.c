#include "bench_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/human.h"
#include "cli/json_out.h"

double bench_report_bandwidth_fraction(const bench_report *r, const bench_row *row) {
  return row->speed.decode.median * (double)r->weight_bytes_per_token / row->bandwidth;
}

/* NaN when either is missing. */
static double peak_fraction(const bench_row *row) {
  return row->multiply_adds / row->multiply_peak;
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

static size_t list_fields(const bench_report *r, const bench_row *row, field fields[FIELDS]) {
  const field all[] = {
      {.name = "model", .text = r->model},
      {.name = "type", .text = r->type},
      {.name = "cpu", .text = r->cpu},
      {.name = "cpu_model", .text = r->cpu_model},
      {.name = "threads", .kind = FIELD_COUNT, .count = r->threads},
      {.name = "kv", .text = r->kv},
      {.name = "load", .text = r->load},
      {.name = "prompt", .kind = FIELD_COUNT, .count = row->prompt},
      {.name = "gen", .kind = FIELD_COUNT, .count = row->gen},
      {.name = "depth", .kind = FIELD_COUNT, .count = row->depth},
      {.name = "reps", .kind = FIELD_COUNT, .count = r->repetitions},
      {.name = "bandwidth_gbs", .kind = FIELD_REAL, .real = row->bandwidth * 1e-9},
      {.name = "bandwidth_best_gbs", .kind = FIELD_REAL, .real = r->bandwidth_best * 1e-9},
      {.name = "bandwidth_loop", .text = r->bandwidth_way},
      {.name = "weight_bytes_per_token", .kind = FIELD_COUNT, .count = r->weight_bytes_per_token},
      {.name = "prefill_tps", .kind = FIELD_REAL, .real = row->speed.prefill.median},
      {.name = "prefill_tps_min", .kind = FIELD_REAL, .real = row->speed.prefill.least},
      {.name = "prefill_tps_max", .kind = FIELD_REAL, .real = row->speed.prefill.most},
      {.name = "prefill_gmacs", .kind = FIELD_REAL, .real = row->multiply_adds * 1e-9},
      {.name = "peak_gmacs", .kind = FIELD_REAL, .real = row->multiply_peak * 1e-9},
      {.name = "prefill_peak_fraction", .kind = FIELD_REAL, .real = peak_fraction(row)},
      {.name = "decode_tps", .kind = FIELD_REAL, .real = row->speed.decode.median},
      {.name = "decode_tps_min", .kind = FIELD_REAL, .real = row->speed.decode.least},
      {.name = "decode_tps_max", .kind = FIELD_REAL, .real = row->speed.decode.most},
      {.name = "decode_bandwidth_fraction",
       .kind = FIELD_REAL,
       .real = bench_report_bandwidth_fraction(r, row)},
  };
  _Static_assert(sizeof all / sizeof *all <= FIELDS, "all fields have room");
  memcpy(fields, all, sizeof all);
  return sizeof all / sizeof *all;
}

static void write_row(json_out *json, const bench_report *report, const bench_row *row) {
  field fields[FIELDS];
  size_t count = list_fields(report, row, fields);
  json_out_open_object(json, NULL, true);
  for (size_t i = 0; i < count; i++) {
    switch (fields[i].kind) {
      case FIELD_TEXT: json_out_string(json, fields[i].name, fields[i].text); break;
      case FIELD_COUNT: json_out_count(json, fields[i].name, fields[i].count); break;
      case FIELD_REAL: json_out_real(json, fields[i].name, fields[i].real); break;
    }
  }
  json_out_close(json);
}

void bench_report_json(const bench_report *report) {
  json_out json = {.file = stdout};
  bool several = report->row_count > 1;
  if (several) json_out_open_array(&json, NULL, true);
  for (size_t i = 0; i < report->row_count; i++) write_row(&json, report, &report->rows[i]);
  if (several) json_out_close(&json);
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

static void print_values(const field *fields, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const field *f = &fields[i];
    if (i) putchar(',');
    if (f->kind == FIELD_TEXT && f->text) print_quoted(f->text);
    if (f->kind == FIELD_COUNT) printf("%llu", (unsigned long long)f->count);
    if (f->kind == FIELD_REAL && isfinite(f->real)) printf("%.6g", f->real);
  }
  putchar('\n');
}

void bench_report_csv(const bench_report *report) {
  field fields[FIELDS];
  size_t count = list_fields(report, &report->rows[0], fields);
  for (size_t i = 0; i < count; i++) printf("%s%s", i ? "," : "", fields[i].name);
  putchar('\n');
  for (size_t i = 0; i < report->row_count; i++) {
    count = list_fields(report, &report->rows[i], fields);
    print_values(fields, count);
  }
}

/* --- for people ----------------------------------------------------------------------- */

static void print_speed(const char *label, const throughput_spread *speed) {
  printf("%-18s %.2f t/s, from %.2f to %.2f\n", label, speed->median, speed->least, speed->most);
}

/* "prefill 512", "decode 128 @ 4096". */
static char *label_of(char label[64], const char *what, size_t tokens, const bench_row *row) {
  if (row->depth)
    snprintf(label, 64, "%s %zu @ %zu", what, tokens, row->depth);
  else
    snprintf(label, 64, "%s %zu", what, tokens);
  return label;
}

static void print_prefill(const bench_row *row) {
  char label[64];
  print_speed(label_of(label, "prefill", row->prompt, row), &row->speed.prefill);
  if (!isfinite(row->multiply_adds)) return;
  printf("%-18s %.1f G multiply-adds/s", "", row->multiply_adds * 1e-9);
  if (isfinite(peak_fraction(row)))
    printf(", %.1f %% of the peak of %.0f", 100 * peak_fraction(row), row->multiply_peak * 1e-9);
  putchar('\n');
}

static void print_decode(const bench_report *r, const bench_row *row) {
  char label[64];
  double fraction = bench_report_bandwidth_fraction(r, row);
  print_speed(label_of(label, "decode", row->gen, row), &row->speed.decode);
  printf("%-18s %.2f GB/s of weights, %.1f %% of the %.2f that memory gave meanwhile\n", "",
         fraction * row->bandwidth * 1e-9, 100 * fraction, row->bandwidth * 1e-9);
}

void bench_report_text(const bench_report *r) {
  char bytes[HUMAN_BYTES];
  printf("model              %s", r->model);
  if (r->type) printf(", %s, random weights", r->type);
  printf("\nprocessor          %s\n", r->cpu_model);
  printf("running            %s, %u thread%s, load %s, kv %s\n", r->cpu, r->threads,
         r->threads == 1 ? "" : "s", r->load, r->kv);
  printf("read bandwidth     %.2f GB/s at best (%s)\n", r->bandwidth_best * 1e-9, r->bandwidth_way);
  printf("weights per token  %s\n", human_bytes(bytes, (double)r->weight_bytes_per_token));
  for (size_t i = 0; i < r->row_count; i++) {
    if (r->rows[i].prompt) print_prefill(&r->rows[i]);
    if (r->rows[i].gen) print_decode(r, &r->rows[i]);
  }
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

static void print_rows(const bench_report *r, const bench_row *row) {
  char test[64], limit[64];
  if (row->prompt) {
    snprintf(limit, sizeof limit, "%.0f G multiply-adds/s", row->multiply_peak * 1e-9);
    print_row(r, label_of(test, "prefill", row->prompt, row), &row->speed.prefill,
              peak_fraction(row), limit);
  }
  if (!row->gen) return;
  snprintf(limit, sizeof limit, "%.2f GB/s", row->bandwidth * 1e-9);
  snprintf(test, sizeof test, "decode %zu @ %zu", row->gen, row->depth);
  print_row(r, test, &row->speed.decode, bench_report_bandwidth_fraction(r, row), limit);
}

void bench_report_markdown(const bench_report *r) {
  printf("| model | processor | level | threads | load | kv | test | t/s | spread | limit |\n");
  printf("|---|---|---|--:|---|---|---|--:|---|---|\n");
  for (size_t i = 0; i < r->row_count; i++) print_rows(r, &r->rows[i]);
}
