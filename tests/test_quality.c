/* What quantization costs on the demo model: bits per weight of the file's
 * tensors and the divergence from the float32 file over 40 chunks of the
 * held-out text, through `gust inspect` and `gust eval`. The bounds are the
 * project's promises, not what is reached (docs/BENCHMARKS.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "demo_model.h"
#include "json.h"
#include "run_gust.h"

static double number(const json_value *object, const char *key) {
  double value = -1;
  if (!json_double(json_get(object, key), &value)) check_fatal("the JSON lacks", key);
  return value;
}

/* Parses a command's standard output; both to be freed. */
static json_document *parse(const run_result *r, const char *what) {
  json_document *doc;
  gust_error err;
  CHECK_EQ_INT(r->code, 0);
  if (json_parse(&doc, r->out, strlen(r->out), what, 0, &err)) check_fatal(what, err.text);
  return doc;
}

/* Bits per weight of the file's tensors of one type. */
static double bits_of(const char *path, const char *type) {
  run_result r = run_gust(NULL, "inspect", path, "--json", (const char *)NULL);
  json_document *doc = parse(&r, "inspect");
  double bytes = 0, weights = 0;
  const json_value *tensors = json_get(json_root(doc), "tensors");
  for (const json_value *t = json_first(tensors); t; t = json_next(tensors, t)) {
    if (!json_text_is(json_get(t, "type"), type)) continue;
    const json_value *shape = json_get(t, "shape");
    double product = 1, size;
    for (const json_value *s = json_first(shape); s; s = json_next(shape, s))
      if (json_double(s, &size)) product *= size;
    bytes += number(t, "bytes");
    weights += product;
  }
  json_free(doc);
  run_result_clear(&r);
  CHECK(weights > 0);
  return 8 * bytes / weights;
}

static void check_type(const char *type, double most_bits, double most_kl) {
  const char *path = demo_model_path(type), *reference = demo_model_path("f32");
  if (!path || !reference) check_skip("GUST_DEMO_F32 and so on are not set: run under meson test");
  double bits = bits_of(path, type);
  CHECK(bits <= most_bits);
  run_result r = run_gust(NULL, "eval", path, "--text", check_data("heldout.txt"), "--chunks", "40",
                          "--against", reference, "--json", "--quiet", (const char *)NULL);
  json_document *doc = parse(&r, "eval");
  const json_value *root = json_root(doc);
  double kl = number(root, "kl_mean");
  CHECK_EQ_INT(number(root, "tokens"), 10200);
  CHECK(kl > 0 && kl <= most_kl);
  printf("%s: %.3f bits/weight, mean KL %.6f, median %.6f, top-1 %.4f\n", type, bits, kl,
         number(root, "kl_median"), number(root, "top1_agree"));
  json_free(doc);
  run_result_clear(&r);
}

int main(void) {
  check_type("q8", 8.3, 2.2e-4);
  check_type("q4", 4.3, 0.0112);
  return check_finish();
}
