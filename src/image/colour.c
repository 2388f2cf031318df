/* Colours of a picture, in OKLab (B. Ottosson, "A perceptual color space for image processing",
 * 2020), where distances are about as large as they look.
 *
 * A fixed grid of at most 64 x 64 pixels is looked at. Dominant colours: k-means with five centres,
 * the first ones spread by the farthest-point rule from the mean, which needs no random numbers;
 * centres that come out closer than eyes tell apart are joined. Warm or cool: each pixel votes with
 * its chroma, reds to yellows warm, greens to blues cool; a picture is neutral when its mean chroma
 * is small or neither side has clearly more. */
#include "image/colour.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define GRID 64
#define ROUNDS 8
#define JOIN_DISTANCE 0.04f  /* in OKLab; about two just noticeable differences */
#define NEUTRAL_CHROMA 0.03f /* mean chroma of a picture that looks grey */
#define CLEARLY_MORE 1.25f   /* warm votes over cool votes, or the other way round */

typedef struct lab {
    float l, a, b;
} lab;

const char *lk_colour_scheme_name(lk_colour_scheme s)
{
    static const char *const names[] = {"neutral", "warm", "cool"};
    return names[s];
}

static const char *const bins[LK_N_COLOUR_BINS] = {
    "red",    "orange", "yellow", "green", "cyan", "blue",
    "purple", "pink",   "brown",  "black", "grey", "white",
};
enum { RED, ORANGE, YELLOW, GREEN, CYAN, BLUE, PURPLE, PINK, BROWN, BLACK, GREY, WHITE };

const char *lk_colour_bin_name(size_t bin)
{
    return bin < LK_N_COLOUR_BINS ? bins[bin] : "";
}

static float linear(unsigned char v)
{
    float s = (float)v / 255;
    return s <= 0.04045f ? s / 12.92f : powf((s + 0.055f) / 1.055f, 2.4f);
}

static lab to_lab(const float table[256], const unsigned char *p)
{
    float r = table[p[0]], g = table[p[1]], b = table[p[2]];
    float l = cbrtf(0.4122214708f * r + 0.5363325363f * g + 0.0514459929f * b);
    float m = cbrtf(0.2119034982f * r + 0.6806995451f * g + 0.1073969566f * b);
    float s = cbrtf(0.0883024619f * r + 0.2817188376f * g + 0.6299787005f * b);
    return (lab){0.2104542553f * l + 0.7936177850f * m - 0.0040720468f * s,
                 1.9779984951f * l - 2.4285922050f * m + 0.4505937099f * s,
                 0.0259040371f * l + 0.7827717662f * m - 0.8086757660f * s};
}

static float chroma(lab c)
{
    return sqrtf(c.a * c.a + c.b * c.b);
}

static float distance2(lab x, lab y)
{
    float l = x.l - y.l, a = x.a - y.a, b = x.b - y.b;
    return l * l + a * a + b * b;
}

/* Hue in degrees, 0..360: red about 29, yellow 110, green 142, cyan 195, blue 264, magenta 328. */
static float hue(lab c)
{
    float h = atan2f(c.b, c.a) * 57.29578f;
    return h < 0 ? h + 360 : h;
}

static size_t bin_of(lab c)
{
    if (c.l < 0.2f)
        return BLACK;
    if (chroma(c) < 0.035f)
        return c.l > 0.9f ? WHITE : c.l < 0.3f ? BLACK : GREY;
    float h = hue(c);
    if (h < 12 || h >= 340)
        return c.l > 0.7f || h >= 340 ? PINK : RED;
    if (h < 40)
        return c.l > 0.75f ? PINK : RED;
    if (h < 80)
        return c.l < 0.55f ? BROWN : ORANGE;
    if (h < 115)
        return c.l < 0.5f ? BROWN : YELLOW;
    return h < 170 ? GREEN : h < 225 ? CYAN : h < 285 ? BLUE : PURPLE;
}

/* ---- k-means ---- */

typedef struct cluster {
    lab c;
    double rgb[3]; /* sum of the members */
    size_t n;
} cluster;

static size_t nearest(const cluster *k, size_t n_k, lab c)
{
    size_t best = 0;
    float d = distance2(k[0].c, c);
    for (size_t i = 1; i < n_k; i++) {
        float e = distance2(k[i].c, c);
        if (e < d) {
            d = e;
            best = i;
        }
    }
    return best;
}

/* The first centre is the mean; each further one the sample farthest from all before it. */
static size_t spread(const lab *px, size_t n, cluster *k)
{
    lab mean = {0, 0, 0};
    for (size_t i = 0; i < n; i++) {
        mean.l += px[i].l / (float)n;
        mean.a += px[i].a / (float)n;
        mean.b += px[i].b / (float)n;
    }
    size_t n_k = 1;
    k[0].c = mean;
    while (n_k < LK_MAX_COLOURS) {
        float most = 0;
        size_t far = 0;
        for (size_t i = 0; i < n; i++) {
            float d = distance2(px[i], k[nearest(k, n_k, px[i])].c);
            if (d > most) {
                most = d;
                far = i;
            }
        }
        if (most < JOIN_DISTANCE * JOIN_DISTANCE)
            break;
        k[n_k++].c = px[far];
    }
    return n_k;
}

static void move_centres(const lab *px, const unsigned char (*rgb)[3], size_t n, cluster *k,
                         size_t n_k)
{
    double sum[LK_MAX_COLOURS][3] = {{0}};
    for (size_t i = 0; i < n_k; i++)
        k[i] = (cluster){.c = k[i].c};
    for (size_t i = 0; i < n; i++) {
        size_t j = nearest(k, n_k, px[i]);
        sum[j][0] += (double)px[i].l;
        sum[j][1] += (double)px[i].a;
        sum[j][2] += (double)px[i].b;
        for (size_t c = 0; c < 3; c++)
            k[j].rgb[c] += rgb[i][c];
        k[j].n++;
    }
    for (size_t i = 0; i < n_k; i++)
        if (k[i].n)
            k[i].c = (lab){(float)(sum[i][0] / (double)k[i].n), (float)(sum[i][1] / (double)k[i].n),
                           (float)(sum[i][2] / (double)k[i].n)};
}

static int larger_first(const void *a, const void *b)
{
    const cluster *x = a, *y = b;
    return x->n != y->n ? (x->n > y->n ? -1 : 1) : 0;
}

static void join_close(cluster *k, size_t n_k)
{
    for (size_t i = 0; i < n_k; i++)
        for (size_t j = i + 1; j < n_k; j++)
            if (k[i].n && k[j].n && distance2(k[i].c, k[j].c) < JOIN_DISTANCE * JOIN_DISTANCE) {
                for (size_t c = 0; c < 3; c++)
                    k[i].rgb[c] += k[j].rgb[c];
                k[i].n += k[j].n;
                k[j].n = 0;
            }
}

static void dominant(const lab *px, const unsigned char (*rgb)[3], size_t n, lk_colours *ret)
{
    cluster k[LK_MAX_COLOURS] = {{.n = 0}};
    size_t n_k = spread(px, n, k);
    for (int round = 0; round < ROUNDS; round++)
        move_centres(px, rgb, n, k, n_k);
    join_close(k, n_k);
    qsort(k, n_k, sizeof *k, larger_first);
    for (ret->n = 0; ret->n < n_k && k[ret->n].n; ret->n++) {
        const cluster *from = &k[ret->n];
        for (size_t c = 0; c < 3; c++)
            ret->dominant[ret->n].rgb[c] = (unsigned char)lrint(from->rgb[c] / (double)from->n);
        ret->dominant[ret->n].share = (float)from->n / (float)n;
    }
}

/* ---- the whole ---- */

static float hsv_saturation(const unsigned char *p)
{
    int max = p[0] > p[1] ? p[0] : p[1], min = p[0] < p[1] ? p[0] : p[1];
    max = p[2] > max ? p[2] : max;
    min = p[2] < min ? p[2] : min;
    return max ? (float)(max - min) / (float)max : 0;
}

static void measure(const lab *px, const unsigned char (*rgb)[3], size_t n, lk_colours *ret)
{
    float warm = 0, cool = 0, sum = 0, light = 0, saturation = 0;
    size_t counts[LK_N_COLOUR_BINS] = {0};
    for (size_t i = 0; i < n; i++) {
        float c = chroma(px[i]), h = hue(px[i]);
        light += px[i].l;
        saturation += hsv_saturation(rgb[i]);
        sum += c;
        if (h < 120 || h >= 330)
            warm += c;
        else if (h >= 130 && h < 310)
            cool += c;
        counts[bin_of(px[i])]++;
    }
    ret->brightness = fminf(1, fmaxf(0, light / (float)n));
    ret->saturation = saturation / (float)n;
    ret->scheme = sum / (float)n < NEUTRAL_CHROMA ? LK_COLOUR_NEUTRAL
                  : warm > CLEARLY_MORE * cool    ? LK_COLOUR_WARM
                  : cool > CLEARLY_MORE * warm    ? LK_COLOUR_COOL
                                                  : LK_COLOUR_NEUTRAL;
    for (size_t i = 0; i < LK_N_COLOUR_BINS; i++)
        ret->distribution[i] = (float)counts[i] / (float)n;
}

lk_code lk_colours_of(const lk_image *im, lk_colours *ret, lk_err *err)
{
    unsigned nx = im->width < GRID ? im->width : GRID, ny = im->height < GRID ? im->height : GRID;
    size_t n = 0;
    float table[256];
    lab *px = lk_alloc_array((size_t)nx * ny, sizeof *px);
    unsigned char(*rgb)[3] = lk_alloc_array((size_t)nx * ny, sizeof *rgb);
    lk_code code = px && rgb ? LK_OK : lk_fail(err, LK_E_NOMEM, "out of memory for the colours");
    for (size_t v = 0; v < 256; v++)
        table[v] = linear((unsigned char)v);
    for (unsigned y = 0; !code && y < ny; y++)
        for (unsigned x = 0; x < nx; x++, n++) {
            size_t at_x = ((uint64_t)x * 2 + 1) * im->width / (2 * nx);
            size_t at_y = ((uint64_t)y * 2 + 1) * im->height / (2 * ny);
            memcpy(rgb[n], im->px + (at_y * im->width + at_x) * 3, 3);
            px[n] = to_lab(table, rgb[n]);
        }
    if (!code) {
        memset(ret, 0, sizeof *ret);
        dominant(px, (const unsigned char(*)[3])rgb, n, ret);
        measure(px, (const unsigned char(*)[3])rgb, n, ret);
    }
    lk_free(px);
    lk_free(rgb);
    return code;
}
