#include "kl_chart.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "human.h"
#include "output_file.h"
#include "portable_math.h"
#include "utf8_check.h"

/* Of the picture, in its own units. */
#define WIDTH 760
#define HEIGHT 420
#define LEFT 66.0
#define RIGHT 736.0
#define TOP 126.0
#define BOTTOM 356.0

#define BINS_PER_DECADE 10
#define MOST_DECADES 12
#define MOST_BINS (MOST_DECADES * BINS_PER_DECADE)
/* What lies below this, zeros among it, has a bar of its own. */
#define LEAST_EXPONENT (-15)

/* The axis spans decades `low` to `high` (powers of ten); bin 0 of `counts` holds
 * what is smaller than all of them. */
typedef struct histogram {
  int low, high;
  size_t counts[MOST_BINS + 1], largest;
} histogram;

static double log10_of(double x) {
  return portable_log(x) * 0x1.bcb7b1526e50ep-2; /* 1 / ln 10 */
}

/* Decades from that of the smallest 1 % to that of the largest. */
static void choose_range(histogram *h, const evaluation_summary *s) {
  double small = evaluation_quantile(s->sorted_kl, s->tokens, 0.01), least = 1e-15;
  h->high = s->kl_max > least ? (int)ceil(log10_of(s->kl_max)) : LEAST_EXPONENT + 1;
  h->low = small > least ? (int)floor(log10_of(small)) : LEAST_EXPONENT;
  if (h->low >= h->high) h->low = h->high - 1;
  if (h->high - h->low > MOST_DECADES) h->low = h->high - MOST_DECADES;
}

static size_t bin_of(const histogram *h, double kl) {
  if (!(kl > 1e-300)) return 0;
  double place = (log10_of(kl) - h->low) * BINS_PER_DECADE;
  size_t bins = (size_t)(h->high - h->low) * BINS_PER_DECADE;
  if (place < 0) return 0;
  return place < (double)bins ? (size_t)place + 1 : bins;
}

static void fill(histogram *h, const evaluation_summary *s) {
  memset(h, 0, sizeof *h);
  choose_range(h, s);
  for (size_t i = 0; i < s->tokens; i++) h->counts[bin_of(h, s->sorted_kl[i])]++;
  for (size_t i = 0; i <= MOST_BINS; i++)
    if (h->counts[i] > h->largest) h->largest = h->counts[i];
}

/* --- places --------------------------------------------------------------------------- */

/* The bar of the smallest stands apart, left of the axis' first decade. */
#define AXIS_LEFT (LEFT + 48)
#define LESS_BAR 20.0

static double x_of_exponent(const histogram *h, double exponent) {
  double share = (exponent - h->low) / (h->high - h->low);
  if (share < 0) share = 0;
  return AXIS_LEFT + share * (RIGHT - AXIS_LEFT);
}

static double x_of(const histogram *h, double kl) {
  if (bin_of(h, kl) == 0) return LEFT + 2 + LESS_BAR / 2;
  return x_of_exponent(h, log10_of(kl));
}

/* 1, 2 or 5 times a power of ten, so that about four lines divide the height. */
static size_t grid_step(size_t largest) {
  size_t step = 1;
  for (int i = 0; step * 4 < largest; i++) step = i % 3 == 1 ? step / 2 * 5 : step * 2;
  return step;
}

static double y_of(const histogram *h, double count) {
  return BOTTOM - count / (double)h->largest * (BOTTOM - TOP);
}

/* --- drawing ------------------------------------------------------------------------------ */

/* Bytes of a character at the start of the text that XML can hold, else 0. U+FFFE
 * and U+FFFF are characters to UTF-8 but not to XML. */
static size_t xml_character(const char *text, size_t left) {
  size_t length = utf8_check_character(text, left);
  unsigned char c = (unsigned char)*text;
  if (c < 0x20 || c == 0x7f) return 0;
  if (length == 3 && (memcmp(text, "\xef\xbf\xbe", 3) == 0 || memcmp(text, "\xef\xbf\xbf", 3) == 0))
    return 0;
  return length;
}

/* Text as XML; what it cannot hold becomes '?'. */
static void put_text(FILE *f, const char *text) {
  size_t left = strlen(text);
  while (left > 0) {
    size_t length = xml_character(text, left);
    char c = *text;
    if (length == 0) {
      fputc('?', f);
      length = 1;
    } else if (c == '<') {
      fputs("&lt;", f);
    } else if (c == '>') {
      fputs("&gt;", f);
    } else if (c == '&') {
      fputs("&amp;", f);
    } else {
      fwrite(text, 1, length, f);
    }
    text += length;
    left -= length;
  }
}

static void put_head(FILE *f) {
  fprintf(f,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
          "viewBox=\"0 0 %d %d\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n",
          WIDTH, HEIGHT, WIDTH, HEIGHT);
  fputs(
      "<style>\n"
      ".paper{fill:#fff}.ink{fill:#1f2328}.dim{fill:#59636e}.bar{fill:#3572b0}\n"
      ".grid{stroke:#d8dee4}.axis{stroke:#59636e}.mark{stroke:#b3400f}.note{fill:#b3400f}\n"
      "@media (prefers-color-scheme:dark){\n"
      ".paper{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9aa4af}.bar{fill:#5b9bd9}\n"
      ".grid{stroke:#2b323a}.axis{stroke:#9aa4af}.mark{stroke:#f08c57}.note{fill:#f08c57}}\n"
      "</style>\n",
      f);
}

static void put_title(FILE *f, const evaluation_summary *s, const char *model,
                      const char *reference) {
  char count[HUMAN_BYTES];
  fputs("<title>KL divergence per token: ", f);
  put_text(f, human_file_name(model));
  fputs(" against ", f);
  put_text(f, human_file_name(reference));
  fprintf(f, "</title>\n<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, HEIGHT);
  fprintf(f, "<text class=\"ink\" x=\"%.0f\" y=\"26\" font-size=\"15\" font-weight=\"bold\">",
          LEFT);
  put_text(f, human_file_name(model));
  fputs(" against ", f);
  put_text(f, human_file_name(reference));
  fprintf(f, "</text>\n<text class=\"dim\" x=\"%.0f\" y=\"46\">%s tokens, mean %.6f", LEFT,
          human_count(count, s->tokens), s->kl.mean);
  if (isfinite(s->kl.se)) fprintf(f, " \302\261 %.6f", s->kl.se);
  fprintf(f, " nats, largest %.4f</text>\n", s->kl_max);
}

static void put_grid(FILE *f, const histogram *h) {
  size_t step = grid_step(h->largest);
  for (size_t count = 0; count <= h->largest; count += step) {
    double y = y_of(h, (double)count);
    char text[HUMAN_BYTES];
    fprintf(f, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", LEFT, y, RIGHT);
    fprintf(f, "<text class=\"dim\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            LEFT - 8, y + 4, human_count(text, count));
  }
  for (int exponent = h->low; exponent <= h->high; exponent++) {
    double x = x_of_exponent(h, exponent);
    fprintf(f, "<path class=\"axis\" d=\"M%.1f %.1fv5\"/>", x, BOTTOM);
    fprintf(f,
            "<text class=\"dim\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">10<tspan dy=\"-5\" "
            "font-size=\"9\">%d</tspan></text>\n",
            x, BOTTOM + 22, exponent);
  }
  fprintf(f,
          "<text class=\"dim\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">less</text>\n"
          "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>\n",
          LEFT + 2 + LESS_BAR / 2, BOTTOM + 22, LEFT, BOTTOM, RIGHT);
  fprintf(f,
          "<text class=\"dim\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">KL divergence of a "
          "token, nats</text>\n",
          (LEFT + RIGHT) / 2, BOTTOM + 46);
  fprintf(f,
          "<text class=\"dim\" x=\"18\" y=\"%.1f\" text-anchor=\"middle\" "
          "transform=\"rotate(-90 18 %.1f)\">tokens</text>\n",
          (TOP + BOTTOM) / 2, (TOP + BOTTOM) / 2);
}

static void put_bar(FILE *f, const histogram *h, size_t count, double left, double width) {
  if (count == 0) return;
  double y = y_of(h, (double)count);
  fprintf(f, "M%.2f %.2fh%.2fV%.2fh-%.2fz", left, y, width, BOTTOM, width);
}

static void put_bars(FILE *f, const histogram *h) {
  size_t bins = (size_t)(h->high - h->low) * BINS_PER_DECADE;
  double width = (RIGHT - AXIS_LEFT) / (double)bins;
  fputs("<path class=\"bar\" d=\"", f);
  put_bar(f, h, h->counts[0], LEFT + 2, LESS_BAR);
  for (size_t i = 0; i < bins; i++)
    put_bar(f, h, h->counts[i + 1], AXIS_LEFT + (double)i * width, width * 0.9);
  fputs("\"/>\n", f);
}

/* Each label stands left of its line in a row of its own, the largest quantile's on
 * top: so a line that a label passes begins below it. */
static void put_marks(FILE *f, const histogram *h, const evaluation_summary *s) {
  const struct {
    const char *name;
    double kl;
  } marks[] = {
      {"99.9 %", s->kl_p999}, {"99 %", s->kl_p99}, {"mean", s->kl.mean}, {"median", s->kl_median}};
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    double x = x_of(h, marks[i].kl), y = 62 + 16 * (double)i;
    bool at_edge = x < LEFT + 110;
    fprintf(f, "<path class=\"mark\" d=\"M%.1f %.1fV%.1f\" stroke-dasharray=\"4 3\"/>", x, y,
            BOTTOM);
    fprintf(f, "<text class=\"note\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s %.3g</text>\n",
            at_edge ? x + 6 : x - 6, y + 10, at_edge ? "start" : "end", marks[i].name, marks[i].kl);
  }
}

gust_status kl_chart_write(const char *path, const evaluation_summary *summary, const char *model,
                           const char *reference, gust_error *err) {
  histogram h;
  output_file output;
  fill(&h, summary);
  gust_status status = output_file_open(&output, path, err);
  if (status == GUST_OK) {
    put_head(output.file);
    put_title(output.file, summary, model, reference);
    put_grid(output.file, &h);
    put_bars(output.file, &h);
    put_marks(output.file, &h, summary);
    fputs("</svg>\n", output.file);
    if (ferror(output.file))
      status = command_error(err, GUST_E_IO, "%s: cannot write: %s", path, strerror(errno));
  }
  return output_file_close(&output, status, err);
}
