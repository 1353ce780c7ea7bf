/* gust doctor: facts from made-up systems, predictions and advice from given
 * numbers, and what the command prints of this machine. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bench/doctor.h"
#include "check.h"
#include "host.h"
#include "json_result.h"
#include "kernels.h"
#include "model.h"
#include "os.h"

/* --- a system's files ---------------------------------------------------------------- */

/* Makes the folders on the way, and the file. */
static void put_file(const char *root, const char *path, const char *text) {
  char whole[1024];
  int length = snprintf(whole, sizeof whole, "%s%s", root, path);
  CHECK(length > 0 && (size_t)length < sizeof whole);
  for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = 0;
    if (!os_make_folder(whole) && errno != EEXIST) check_fatal("mkdir", whole);
    *slash = '/';
  }
  check_write_file(whole, text, strlen(text));
}

static const char *new_root(const char *name) {
  const char *root = check_temp_file(name);
  if (!os_make_folder(root)) check_fatal("mkdir", root);
  return root;
}

static void put_cpu(const char *root, unsigned cpu, const char *name, const char *text) {
  char path[128];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", cpu, name);
  put_file(root, path, text);
}

static void test_nothing(void) {
  machine_facts facts, none = {0};
  memset(&facts, 0xff, sizeof facts);
  machine_facts_read(&facts, new_root("empty"));
  CHECK_EQ_INT(facts.cpus, none.cpus);
  CHECK_EQ_INT(facts.performance_cores, 0);
  CHECK_EQ_INT(facts.efficiency_cores, 0);
  CHECK_EQ_INT(facts.memory_total, 0);
  CHECK_EQ_INT(facts.memory_available, 0);
  CHECK_EQ_INT(facts.huge_page_bytes, 0);
  CHECK_EQ_INT(facts.huge_pages, HUGE_PAGES_UNKNOWN);
  CHECK(huge_page_policy_name(facts.huge_pages) == NULL);
  CHECK(!facts.virtual_machine);
  uint64_t huge;
  CHECK(!machine_huge_bytes(&huge, check_temp_file("empty"), 0x1000, 1));
}

/* A laptop: two performance cores of two threads each, four efficiency cores. */
static void test_hybrid(void) {
  const char *root = new_root("hybrid");
  put_file(root, "/sys/devices/system/cpu/online", "0-7\n");
  put_file(root, "/sys/devices/cpu_core/cpus", "0-3\n");
  put_file(root, "/sys/devices/cpu_atom/cpus", "4-7\n");
  static const char *const siblings[] = {"0-1\n", "0-1\n", "2-3\n", "2-3\n",
                                         "4\n",   "5\n",   "6\n",   "7\n"};
  for (unsigned cpu = 0; cpu < 8; cpu++)
    put_cpu(root, cpu, "topology/thread_siblings_list", siblings[cpu]);
  put_file(
      root, "/proc/meminfo",
      "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    9000000 kB\n");
  put_file(root, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme avx2 avx_vnni\n");
  put_file(root, "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
  put_file(root, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n");
  machine_facts facts;
  machine_facts_read(&facts, root);
  CHECK_EQ_INT(facts.cpus, 8);
  CHECK_EQ_INT(facts.performance_cores, 2);
  CHECK_EQ_INT(facts.efficiency_cores, 4);
  CHECK_EQ_INT(facts.memory_total, 16000000LL * 1024);
  CHECK_EQ_INT(facts.memory_available, 9000000LL * 1024);
  CHECK_EQ_INT(facts.huge_pages, HUGE_PAGES_NEVER);
  CHECK_EQ_STR(huge_page_policy_name(facts.huge_pages), "never");
  CHECK_EQ_INT(facts.huge_page_bytes, 2 << 20);
  CHECK(!facts.virtual_machine);
}

/* An Arm board by capacity; CPU 3 is offline, and no topology is told. */
static void test_capacities(void) {
  const char *root = new_root("capacities");
  put_file(root, "/sys/devices/system/cpu/online", "0-2,4-5\n");
  static const char *const capacities[] = {"414\n", "414\n", "414\n", "1024\n", "1024\n", "900\n"};
  for (unsigned cpu = 0; cpu < 6; cpu++) put_cpu(root, cpu, "cpu_capacity", capacities[cpu]);
  put_file(root, "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  machine_facts facts;
  machine_facts_read(&facts, root);
  CHECK_EQ_INT(facts.cpus, 5);
  CHECK_EQ_INT(facts.performance_cores, 2);
  CHECK_EQ_INT(facts.efficiency_cores, 3);
  CHECK_EQ_STR(huge_page_policy_name(facts.huge_pages), "madvise");
}

/* Favoured cores may run a little faster than others of their kind. */
static void test_frequencies(void) {
  const char *root = new_root("frequencies");
  put_file(root, "/sys/devices/system/cpu/online", "0-2\n");
  put_cpu(root, 0, "cpufreq/cpuinfo_max_freq", "5100000\n");
  put_cpu(root, 1, "cpufreq/cpuinfo_max_freq", "4900000\n");
  put_cpu(root, 2, "cpufreq/cpuinfo_max_freq", "3300000\n");
  put_file(root, "/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
  put_file(root, "/proc/cpuinfo", "flags\t\t: fpu hypervisor avx2\nflags\t\t: fpu avx2\n");
  machine_facts facts;
  machine_facts_read(&facts, root);
  CHECK_EQ_INT(facts.performance_cores, 2);
  CHECK_EQ_INT(facts.efficiency_cores, 1);
  CHECK(facts.virtual_machine);
  CHECK_EQ_STR(huge_page_policy_name(facts.huge_pages), "always");
}

static void test_hostile_files(void) {
  const char *root = new_root("hostile");
  put_file(root, "/sys/devices/system/cpu/online", "0-99999999999999999999,7-3,x\n");
  put_file(root, "/proc/meminfo", "MemTotal\nMemTotalX: 5 kB\nMemTotal: many kB\n");
  put_file(root, "/proc/self/smaps", "\n-\nAnonHugePages: 4 kB\nzz-ff r\n");
  machine_facts facts;
  machine_facts_read(&facts, root);
  CHECK_EQ_INT(facts.cpus, 4096); /* as many as are looked at */
  CHECK_EQ_INT(facts.memory_total, 0);
  uint64_t huge;
  CHECK(!machine_huge_bytes(&huge, root, 0, SIZE_MAX));
}

static void test_huge_bytes(void) {
  const char *root = new_root("smaps");
  put_file(root, "/proc/self/smaps",
           "7f0000000000-7f0000400000 rw-p 00000000 00:00 0 \nSize: 4096 kB\n"
           "AnonHugePages:      2048 kB\nVmFlags: rd wr hg\n"
           "7f0000400000-7f0000800000 rw-p 00000000 00:00 0 \nAnonHugePages:      4096 kB\n"
           "7f0000800000-7f0000c00000 rw-p 00000000 00:00 0 \nAnonHugePages:         0 kB\n");
  uint64_t huge = 1;
  CHECK(machine_huge_bytes(&huge, root, 0x7f0000000000, 4 << 20) && huge == 2 << 20);
  CHECK(machine_huge_bytes(&huge, root, 0x7f0000200000, 4 << 20) && huge == 6 << 20);
  CHECK(machine_huge_bytes(&huge, root, 0x7f0000800000, 1) && huge == 0);
  CHECK(!machine_huge_bytes(&huge, root, 0x7f0000c00000, 1));
}

static void test_here(void) {
  machine_facts facts;
  machine_facts_here(&facts);
  CHECK(facts.performance_cores >= 1);
  CHECK(facts.page_bytes >= 4096 && (facts.page_bytes & (facts.page_bytes - 1)) == 0);
  CHECK(facts.memory_total == 0 || facts.memory_available <= facts.memory_total);
}

/* --- costs and predictions --------------------------------------------------------------- */

static model_cost cost_of(const char *shape, const char *type) {
  gust_header header;
  gust_error err;
  if (gust_synthetic_header(&header, shape, type, &err)) check_fatal("synthetic header", err.text);
  model_cost cost = model_cost_of(&header);
  gust_header_clear(&header);
  return cost;
}

/* Computed by hand from the shape: 32 layers of q, o 4096 x 4096, k, v 1024 x 4096,
 * and three of 14336 x 4096; a head of 32000 x 4096. */
static void test_costs(void) {
  const double layer = 2 * 4096.0 * 4096 + 2 * 1024.0 * 4096 + 3 * 14336.0 * 4096;
  model_cost q4 = cost_of("mistral-7b", "q4"), q8 = cost_of("zephyr-7b", "q8");
  CHECK(q4.layer_multiply_adds == 32 * layer);
  CHECK(q8.layer_multiply_adds == 32 * layer);
  CHECK(q4.head_multiply_adds == 32000.0 * 4096);
  /* q8: 8.25 bits a weight and one byte a row; norms are floats. */
  const double rows = 32 * (2 * 4096.0 + 2 * 1024 + 2 * 14336 + 4096) + 32000;
  const double norms = (2 * 32 + 1) * 4096.0 * 4;
  CHECK(fabs((double)q8.weight_bytes_per_token -
             (8.25 / 8 * (32 * layer + q8.head_multiply_adds) + rows + norms)) < 1);
  CHECK(q4.weight_bytes_per_token < q8.weight_bytes_per_token * 54 / 100);
  CHECK(q4.file_bytes > q4.weight_bytes_per_token);
  CHECK(isnan(cost_of("demo", "bf16").layer_multiply_adds));

  gust_model *model;
  gust_error err;
  CHECK_EQ_INT(gust_model_create_synthetic(&model, "demo", "q4", NULL, NULL, &err), GUST_OK);
  model_cost demo = cost_of("demo", "q4");
  CHECK_EQ_INT(demo.weight_bytes_per_token, gust_model_get_info(model)->weight_bytes_per_token);
  CHECK_EQ_INT(demo.file_bytes, gust_model_get_info(model)->file_bytes);
  /* What a context takes is what one is refused by. */
  const gust_context_options options = {.positions = 1000, .threads = 3};
  gust_context_memory memory;
  gust_header header;
  uint64_t bytes = 0;
  CHECK_EQ_INT(gust_context_measure(model, &options, &memory, &err), GUST_OK);
  CHECK_EQ_INT(gust_synthetic_header(&header, "demo", "q4", &err), GUST_OK);
  CHECK_EQ_INT(model_context_bytes(&header, 1000, 3, &bytes, &err), GUST_OK);
  CHECK_EQ_INT(bytes, memory.cache + memory.scratch);
  gust_header_clear(&header);
  gust_model_close(model);
  CHECK_EQ_INT(gust_synthetic_header(&header, "gpt", "q4", &err), GUST_E_ARGUMENT);
  CHECK_EQ_INT(gust_synthetic_header(&header, "demo", "q5", &err), GUST_E_ARGUMENT);
}

#define GB 1000000000ull

static const model_cost round_cost = {.file_bytes = 4 * GB,
                                      .weight_bytes_per_token = 4 * GB,
                                      .layer_multiply_adds = 7e9,
                                      .head_multiply_adds = 1e8};

static void test_predictions(void) {
  prediction_basis basis = {.level = "avx512",
                            .bandwidth = 40e9,
                            .multiply_peak = 700e9,
                            .memory_available = 8 * GB,
                            .context_bytes = GB / 2};
  prediction p = predict(&round_cost, &basis);
  CHECK(p.copy && p.measured);
  CHECK_EQ_INT(p.limit, LIMIT_BANDWIDTH);
  CHECK(p.decode_fraction > 0.5 && p.decode_fraction <= 1);
  CHECK(p.prefill_fraction > 0.05 && p.prefill_fraction <= 1);
  CHECK(fabs(p.decode_tps - 10 * p.decode_fraction) < 1e-9);
  CHECK(fabs(p.prefill_tps - 100 * p.prefill_fraction) < 1e-9);
  CHECK_EQ_INT(p.peak_memory, 4 * GB + GB / 2);

  /* Less than a gibibyte beside the file: mapped, and slower. */
  basis.memory_available = 5 * GB;
  prediction mapped = predict(&round_cost, &basis);
  CHECK(!mapped.copy);
  CHECK_EQ_INT(mapped.limit, LIMIT_MAPPED);
  CHECK(mapped.decode_fraction < p.decode_fraction);
  CHECK(fabs(mapped.decode_tps - 10 * mapped.decode_fraction) < 1e-9);
  CHECK(mapped.prefill_tps == p.prefill_tps);

  /* No room for it at all. */
  basis.memory_available = 4 * GB + GB / 2 - 1;
  prediction disk = predict(&round_cost, &basis);
  CHECK_EQ_INT(disk.limit, LIMIT_DISK);
  CHECK(isnan(disk.decode_tps));

  basis.memory_available = 0; /* unknown: gust maps */
  CHECK_EQ_INT(predict(&round_cost, &basis).limit, LIMIT_MAPPED);

  basis.memory_available = 8 * GB;
  basis.multiply_peak = 0;
  CHECK(isnan(predict(&round_cost, &basis).prefill_tps));
  CHECK(predict(&round_cost, &basis).decode_tps == p.decode_tps);

  basis.level = "c";
  prediction plain = predict(&round_cost, &basis);
  CHECK_EQ_INT(plain.limit, LIMIT_LEVEL);
  CHECK(isnan(plain.decode_tps) && isnan(plain.prefill_tps) && !plain.measured);
}

/* Every level but plain C, which comes first, has its fractions. */
static void test_levels(void) {
  char levels[] = GUST_KERNEL_LEVELS; /* separated by commas, the last by an "or" */
  CHECK_EQ_STR(strtok(levels, ", "), "c");
  for (const char *level; (level = strtok(NULL, ", ")) != NULL;)
    for (int eight = 0; eight < 2 && strcmp(level, "or") != 0; eight++) {
      prediction_basis basis = {.level = level,
                                .eight_bits = eight,
                                .bandwidth = 1e9,
                                .multiply_peak = 1e9,
                                .memory_available = 8 * GB};
      prediction p = predict(&round_cost, &basis);
      CHECK(p.decode_tps > 0 && p.decode_fraction <= 1);
      CHECK(p.prefill_tps > 0 && p.prefill_fraction <= 1);
    }
}

/* --- advice ---------------------------------------------------------------------------------- */

static doctor_findings healthy(void) {
  doctor_findings f = {.cpu_model = "test",
                       .level = "avx512",
                       .threads = 2,
                       .bandwidth = 40e9,
                       .bandwidth_least = 39e9,
                       .bandwidth_best = 41e9,
                       .huge_share = 1};
  f.facts.performance_cores = 2;
  f.facts.huge_pages = HUGE_PAGES_MADVISE;
  f.facts.memory_available = 16 * GB;
  for (size_t i = 0; i < DOCTOR_MODELS; i++) {
    f.models[i].type = i ? "q8" : "q4";
    f.models[i].prediction.limit = LIMIT_BANDWIDTH;
    f.models[i].prediction.peak_memory = 8 * GB;
  }
  return f;
}

static void check_advice(const doctor_findings *f, const char *part) {
  char lines[DOCTOR_ADVICE_MOST][DOCTOR_ADVICE_BYTES];
  size_t count = doctor_advise(f, lines);
  if (CHECK_EQ_INT(count, 1)) CHECK_CONTAINS(lines[0], part);
}

static void test_advice(void) {
  char lines[DOCTOR_ADVICE_MOST][DOCTOR_ADVICE_BYTES];
  doctor_findings f = healthy();
  CHECK_EQ_INT(doctor_advise(&f, lines), 0);
  f.huge_share = (double)NAN; /* not known to be bad */
  CHECK_EQ_INT(doctor_advise(&f, lines), 0);
  f.huge_share = 0.25;
  check_advice(&f, "only 25 % of the memory asked for came in huge pages");
  f.facts.huge_pages = HUGE_PAGES_NEVER;
  check_advice(&f, "transparent huge pages are off");
  f = healthy();
  f.models[1].prediction.limit = LIMIT_MAPPED;
  check_advice(&f, "q8: too little free memory (16.0 GB) for a copy, so the file is mapped");
  f.models[1].prediction.limit = LIMIT_DISK;
  check_advice(&f,
               "q8 needs 8.00 GB of memory and 16.0 GB are free: close other programs, or use q4");
  f.models[1].prediction.limit = LIMIT_MAPPED;
  f.facts.memory_available = 0; /* unknown: nothing to say of it */
  CHECK_EQ_INT(doctor_advise(&f, lines), 0);
  f = healthy();
  f.level = "avx2";
  check_advice(&f, "AVX2");
  f.level = "c";
  check_advice(&f, "plain C");
  f = healthy();
  f.facts.efficiency_cores = 4;
  check_advice(&f, "compare --threads 2 with --threads 6");
  f = healthy();
  f.bandwidth_least = 20e9;
  check_advice(&f, "varied from 20.0 to 41.0 GB/s");
  f = healthy();
  f.facts.virtual_machine = true;
  check_advice(&f, "virtual machine");
}

/* Everything at once fits, each line whole. */
static void test_all_advice(void) {
  char lines[DOCTOR_ADVICE_MOST][DOCTOR_ADVICE_BYTES];
  doctor_findings f = healthy();
  f.level = "avx2";
  f.facts.efficiency_cores = 4;
  f.facts.huge_pages = HUGE_PAGES_NEVER;
  f.facts.virtual_machine = true;
  f.bandwidth_least = 1e9;
  f.models[0].prediction.limit = LIMIT_MAPPED;
  f.models[1].prediction.limit = LIMIT_DISK;
  size_t count = doctor_advise(&f, lines);
  CHECK_EQ_INT(count, 7);
  for (size_t i = 0; i < count; i++) CHECK(strlen(lines[i]) < DOCTOR_ADVICE_BYTES - 1);
}

/* --- the command --------------------------------------------------------------------------------
 */

static bool near(double a, double b) {
  return fabs(a / b - 1) < 1e-9;
}

static void check_prediction(const json_value *root, const json_value *model, const char *type) {
  double bandwidth = json_result_number(root, "bandwidth_gbs") * 1e9;
  CHECK(json_text_is(json_get(model, "model"), "mistral-7b"));
  CHECK(json_text_is(json_get(model, "type"), type));
  CHECK_EQ_INT(json_result_number(model, "multiply_adds_per_token"), 6979321856);
  /* The file, 4096 positions of 128 KiB of keys and values, and what is computed in. */
  double beside =
      json_result_number(model, "peak_memory_bytes") - json_result_number(model, "file_bytes");
  CHECK(beside > 4096 * 131072.0 && beside < 4096 * 131072.0 + 200e6);
  double fraction = json_result_number(model, "decode_bandwidth_fraction");
  double decode = json_result_number(model, "decode_tps");
  if (!isnan(decode))
    CHECK(near(decode * json_result_number(model, "weight_bytes_per_token"), bandwidth * fraction));
  double peak = json_result_number(root, "peak_gmacs") * 1e9;
  double prefill = json_result_number(model, "prefill_tps");
  CHECK(isnan(peak) == isnan(prefill));
  if (!isnan(peak))
    CHECK(near(prefill * 6979321856.0, peak * json_result_number(model, "prefill_peak_fraction")));
  CHECK(json_is(json_get(model, "decode_limit"), JSON_STRING));
}

static void test_json(void) {
  run_result r = run_gust(NULL, "doctor", "--json", "--threads", "2", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK_EQ_STR(r.err, "");
  json_document *document = json_result_parse(&r);
  const json_value *root = json_root(document), *levels = json_get(root, "levels");
  CHECK(json_text_is(json_first(levels), "c"));
  bool listed = false;
  for (const json_value *v = json_first(levels); v; v = json_next(levels, v)) {
    char *level = json_text_copy(v);
    listed = listed || json_text_is(json_get(root, "cpu"), level);
    free(level);
  }
  CHECK(listed);
  CHECK_EQ_INT(json_result_number(root, "threads"), 2);
  CHECK(json_result_number(root, "performance_cores") >= 1);
  double least = json_result_number(root, "bandwidth_min_gbs");
  double bandwidth = json_result_number(root, "bandwidth_gbs");
  double best = json_result_number(root, "bandwidth_best_gbs");
  CHECK(least > 0 && least <= bandwidth && bandwidth <= best);
  const json_value *predictions = json_get(root, "predictions");
  if (CHECK_EQ_INT(json_count(predictions), 2)) {
    const json_value *q4 = json_first(predictions);
    check_prediction(root, q4, "q4");
    check_prediction(root, json_next(predictions, q4), "q8");
  }
  CHECK(json_is(json_get(root, "advice"), JSON_ARRAY));
  json_free(document);
  run_result_clear(&r);
}

static void test_text(void) {
  host_set_env("GUST_CPU", "c");
  run_result r = run_gust(NULL, "doctor", (const char *)NULL);
  host_set_env("GUST_CPU", NULL);
  CHECK_EQ_INT(r.code, 0);
  CHECK_EQ_STR(r.err, "");
  static const char *const parts[] = {"processor          ",
                                      "\ncores              ",
                                      "\nlevels             c",
                                      "; gust uses c on ",
                                      "\nmemory             ",
                                      "\npages              ",
                                      "\nread bandwidth     ",
                                      "\ninteger rate       unknown: no probe for level c\n",
                                      "\nmistral-7b  ",
                                      "\nq4 ",
                                      "\nq8 ",
                                      "arithmetic in plain C\n",
                                      "\n- gust has no kernels for this processor's vector"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) CHECK_CONTAINS(r.out, parts[i]);
  run_result_clear(&r);
}

/* Each row says whether its shares were measured; of q8 they were on no level. */
static void test_assumed_rows(void) {
  run_result r = run_gust(NULL, "doctor", (const char *)NULL);
  CHECK_EQ_INT(r.code, 0);
  if (gust_cpu_level(1)) {
    CHECK_CONTAINS(r.out, " *\npredicted with ");
    CHECK_CONTAINS(r.out, "\n* nobody has measured level ");
    char *q8 = strstr(r.out, "\nq8 "), *q4 = strstr(r.out, "\nq4 ");
    bool measured = strstr(r.out, "; gust uses avx512 on ") != NULL;
    if (CHECK(q4 && q8 && q4 < q8)) CHECK_EQ_INT(q8[-1] != '*', measured);
  }
  run_result_clear(&r);
}

static void test_misuse(void) {
  CHECK_GUST(2, "",
             "gust doctor: unexpected argument 'x'; usage: gust doctor [--json] [--threads N]\n",
             NULL, "doctor", "x");
  CHECK_GUST(2, "", "gust doctor: --threads: expected a whole number from 1 to 1024, found '0'\n",
             NULL, "doctor", "--threads", "0");
  host_set_env("GUST_CPU", "z80");
  run_result r = run_gust(NULL, "doctor", (const char *)NULL);
  host_set_env("GUST_CPU", NULL);
  CHECK_EQ_INT(r.code, 2);
  CHECK_CONTAINS(r.err, "environment variable GUST_CPU: expected ");
  run_result_clear(&r);
  CHECK_GUST(0, NULL, "", NULL, "doctor", "--help");
}

int main(void) {
  test_nothing();
  test_hybrid();
  test_capacities();
  test_frequencies();
  test_hostile_files();
  test_huge_bytes();
  test_here();
  test_costs();
  test_predictions();
  test_levels();
  test_advice();
  test_all_advice();
  test_misuse();
  test_json();
  test_text();
  test_assumed_rows();
  return check_finish();
}
