/* A small gallery to try things with, drawn by the program: scenes, things and patterns in warm,
 * cool and neutral colours. Each picture is a function of x and y in 0..1, so that there is nothing
 * to ship and every run draws the same. */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/os.h"
#include "engine/internal.h"
#include "image/encode.h"

#define SIDE_X 480
#define SIDE_Y 360

typedef struct rgb {
    float r, g, b; /* 0..1 */
} rgb;

typedef rgb draw_fn(float x, float y);

static float clamp01(float v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* 0 below a, 1 above b, smooth between. */
static float smooth(float a, float b, float v)
{
    float t = clamp01((v - a) / (b - a));
    return t * t * (3 - 2 * t);
}

static rgb mix(rgb a, rgb b, float t)
{
    return (rgb){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

/* A value in 0..1 that depends on the cell alone. */
static float noise_at(int x, int y)
{
    uint32_t h = (uint32_t)x * 374761393u + (uint32_t)y * 668265263u;
    h = (h ^ h >> 13) * 1274126177u;
    return (float)((h ^ h >> 16) & 0xffff) / 65535;
}

static float cloud(float x, float y)
{
    float sum = 0, weight = 0.5f;
    for (int octave = 0; octave < 4; octave++, weight /= 2, x *= 2, y *= 2) {
        int cx = (int)floorf(x), cy = (int)floorf(y);
        float fx = smooth(0, 1, x - (float)cx), fy = smooth(0, 1, y - (float)cy);
        float top = noise_at(cx, cy) * (1 - fx) + noise_at(cx + 1, cy) * fx;
        float low = noise_at(cx, cy + 1) * (1 - fx) + noise_at(cx + 1, cy + 1) * fx;
        sum += weight * (top * (1 - fy) + low * fy);
    }
    return sum;
}

/* 1 inside the disc, with a soft edge. */
static float disc(float x, float y, float cx, float cy, float radius)
{
    float d = hypotf((x - cx) * SIDE_X / SIDE_Y, y - cy);
    return 1 - smooth(radius - 0.006f, radius + 0.006f, d);
}

/* ---- scenes ---- */

static rgb sunset(float x, float y)
{
    rgb sky = mix((rgb){0.25f, 0.15f, 0.4f}, (rgb){1, 0.55f, 0.2f}, smooth(0, 0.6f, y));
    sky = mix(sky, (rgb){1, 0.9f, 0.6f}, disc(x, y, 0.5f, 0.5f, 0.1f));
    float wave = 0.5f + 0.5f * sinf(90 * y + 6 * sinf(20 * x));
    rgb sea = mix((rgb){0.2f, 0.1f, 0.25f}, (rgb){0.9f, 0.5f, 0.25f}, wave * (1.2f - y));
    return y < 0.6f ? sky : sea;
}

static rgb hills(float x, float y)
{
    rgb c = mix((rgb){0.45f, 0.7f, 0.95f}, (rgb){0.85f, 0.93f, 1}, y * 1.6f);
    c = mix(c, (rgb){1, 1, 1}, smooth(0.5f, 0.7f, cloud(4 * x, 6 * y)) * (y < 0.4f));
    float far = 0.5f + 0.06f * sinf(7 * x) + 0.02f * sinf(23 * x);
    float near = 0.68f + 0.08f * sinf(4 * x + 2);
    if (y > far)
        c = (rgb){0.35f, 0.6f, 0.35f};
    return y > near ? (rgb){0.2f, 0.5f + 0.1f * cloud(40 * x, 40 * y), 0.15f} : c;
}

static rgb mountains(float x, float y)
{
    float ridge = 0.35f + 0.25f * fabsf(sinf(5 * x + 1)) + 0.05f * cloud(12 * x, 3);
    rgb sky = mix((rgb){0.3f, 0.5f, 0.8f}, (rgb){0.8f, 0.88f, 0.95f}, y * 1.5f);
    rgb rock = mix((rgb){0.45f, 0.47f, 0.52f}, (rgb){0.25f, 0.28f, 0.33f}, cloud(20 * x, 20 * y));
    if (y < ridge)
        return sky;
    return y < ridge + 0.08f ? (rgb){0.95f, 0.97f, 1} : rock;
}

static rgb night_city(float x, float y)
{
    int column = (int)(x * 14);
    float roof = 0.35f + 0.4f * noise_at(column, 1);
    int wx = (int)(x * 84), wy = (int)(y * 60);
    bool window = wx % 2 && wy % 2 && noise_at(wx, wy) > 0.5f;
    if (y < roof)
        return noise_at((int)(x * 300), (int)(y * 225)) > 0.998f ? (rgb){1, 1, 0.9f}
                                                                 : (rgb){0.03f, 0.04f, 0.12f};
    return window ? (rgb){1, 0.85f, 0.45f} : (rgb){0.08f, 0.09f, 0.14f};
}

static rgb beach(float x, float y)
{
    float shore = 0.55f + 0.03f * sinf(9 * x);
    if (y < 0.35f)
        return mix((rgb){0.35f, 0.65f, 0.95f}, (rgb){0.7f, 0.88f, 1}, y * 2.5f);
    if (y < shore)
        return mix((rgb){0.05f, 0.45f, 0.65f}, (rgb){0.3f, 0.8f, 0.8f}, (y - 0.35f) * 5);
    return mix((rgb){0.95f, 0.87f, 0.65f}, (rgb){0.85f, 0.75f, 0.52f}, cloud(60 * x, 60 * y));
}

static rgb forest(float x, float y)
{
    bool trunk = fabsf(fmodf(x * 9, 1) - 0.5f) < 0.07f && y > 0.35f;
    float leaf = cloud(18 * x, 18 * y);
    rgb green = mix((rgb){0.05f, 0.25f, 0.08f}, (rgb){0.3f, 0.55f, 0.2f}, leaf);
    return trunk ? (rgb){0.3f, 0.2f, 0.12f} : green;
}

static rgb house(float x, float y)
{
    bool roof = y > 0.25f && y < 0.45f && fabsf(x - 0.5f) < (y - 0.25f) * 1.6f;
    bool wall = y >= 0.45f && y < 0.8f && fabsf(x - 0.5f) < 0.26f;
    bool door = wall && fabsf(x - 0.5f) < 0.05f && y > 0.6f;
    bool window = wall && fabsf(fabsf(x - 0.5f) - 0.16f) < 0.05f && y > 0.52f && y < 0.63f;
    if (door)
        return (rgb){0.4f, 0.22f, 0.1f};
    if (window)
        return (rgb){0.6f, 0.8f, 0.95f};
    if (roof)
        return (rgb){0.7f, 0.2f, 0.15f};
    if (wall)
        return (rgb){0.93f, 0.88f, 0.75f};
    return y > 0.75f ? (rgb){0.35f, 0.6f, 0.25f} : (rgb){0.6f, 0.82f, 0.97f};
}

static rgb boat(float x, float y)
{
    bool hull = y > 0.6f && y < 0.72f && fabsf(x - 0.5f) < 0.26f - (y - 0.6f);
    bool sail = y > 0.2f && y < 0.58f && x > 0.5f && x < 0.5f + (y - 0.2f) * 0.6f;
    bool mast = fabsf(x - 0.49f) < 0.006f && y > 0.15f && y < 0.6f;
    if (sail)
        return (rgb){0.98f, 0.97f, 0.92f};
    if (hull || mast)
        return (rgb){0.45f, 0.25f, 0.12f};
    return y < 0.62f ? (rgb){0.62f, 0.82f, 0.97f}
                     : mix((rgb){0.1f, 0.35f, 0.6f}, (rgb){0.3f, 0.6f, 0.8f},
                           0.5f + 0.5f * sinf(70 * y + 5 * sinf(14 * x)));
}

/* ---- things ---- */

static rgb fruit(float x, float y, rgb skin, rgb background)
{
    float in = disc(x, y, 0.5f, 0.55f, 0.28f), shine = disc(x, y, 0.43f, 0.45f, 0.07f);
    bool stem = fabsf(x - 0.5f - 0.1f * (0.3f - y)) < 0.01f && y > 0.17f && y < 0.3f;
    rgb c = mix(background, mix(skin, (rgb){1, 1, 1}, 0.6f * shine), in);
    return stem ? (rgb){0.35f, 0.22f, 0.1f} : c;
}

static rgb red_apple(float x, float y)
{
    return fruit(x, y, (rgb){0.8f, 0.1f, 0.12f}, (rgb){0.95f, 0.93f, 0.9f});
}
static rgb green_apple(float x, float y)
{
    return fruit(x, y, (rgb){0.5f, 0.75f, 0.2f}, (rgb){0.95f, 0.93f, 0.9f});
}
static rgb orange(float x, float y)
{
    return fruit(x, y, (rgb){0.98f, 0.55f, 0.1f}, (rgb){0.9f, 0.93f, 0.97f});
}

static rgb flower(float x, float y)
{
    float dx = (x - 0.5f) * SIDE_X / SIDE_Y, dy = y - 0.5f, r = hypotf(dx, dy);
    float petal = 0.16f + 0.12f * fabsf(cosf(2.5f * atan2f(dy, dx)));
    if (r < 0.08f)
        return (rgb){0.95f, 0.8f, 0.15f};
    return r < petal ? (rgb){0.9f, 0.35f, 0.6f} : (rgb){0.25f, 0.5f, 0.25f};
}

static rgb moon(float x, float y)
{
    float in = disc(x, y, 0.5f, 0.45f, 0.25f), star = noise_at((int)(x * 240), (int)(y * 180));
    rgb sky = star > 0.997f ? (rgb){1, 1, 1} : (rgb){0.02f, 0.02f, 0.08f};
    float grey = 0.6f + 0.35f * cloud(9 * x, 9 * y);
    return mix(sky, (rgb){grey, grey, grey * 0.95f}, in);
}

static rgb page(float x, float y)
{
    int line = (int)(y * 24);
    float in_line = y * 24 - (float)line;
    bool ink = line > 1 && line < 22 && x > 0.1f && x < 0.75f + 0.15f * noise_at(line, 5) &&
               in_line > 0.3f && in_line < 0.75f && noise_at((int)(x * 120), line) > 0.25f;
    return ink ? (rgb){0.1f, 0.1f, 0.1f} : (rgb){0.98f, 0.97f, 0.95f};
}

static rgb chart(float x, float y)
{
    int bar = (int)(x * 10);
    float top = 0.85f - 0.6f * noise_at(bar, 77), in = x * 10 - (float)bar;
    if (y > 0.85f && y < 0.86f)
        return (rgb){0.2f, 0.2f, 0.2f};
    bool fill = bar > 0 && bar < 9 && in > 0.2f && in < 0.8f && y > top && y < 0.85f;
    return fill ? (rgb){0.2f, 0.45f, 0.75f} : (rgb){1, 1, 1};
}

/* ---- patterns ---- */

static rgb stripes_warm(float x, float y)
{
    return sinf(40 * (x + y)) > 0 ? (rgb){0.85f, 0.3f, 0.15f} : (rgb){0.98f, 0.8f, 0.4f};
}
static rgb checks_cool(float x, float y)
{
    return ((int)(x * 12) + (int)(y * 9)) % 2 ? (rgb){0.1f, 0.35f, 0.7f} : (rgb){0.7f, 0.9f, 0.95f};
}
static rgb rings_neutral(float x, float y)
{
    float v = 0.5f + 0.4f * sinf(60 * hypotf((x - 0.5f) * SIDE_X / SIDE_Y, y - 0.5f));
    return (rgb){v, v, v};
}
static rgb marble(float x, float y)
{
    float v = 0.75f + 0.25f * sinf(12 * x + 9 * cloud(5 * x, 5 * y));
    return (rgb){v, v * 0.98f, v * 0.95f};
}
static rgb fire(float x, float y)
{
    float v = clamp01(y * 1.5f - 0.4f + 0.8f * cloud(6 * x, 8 * y + 3));
    return (rgb){clamp01(2 * v), clamp01(2 * v - 0.8f), clamp01(2 * v - 1.6f)};
}
static rgb ice(float x, float y)
{
    float v = cloud(8 * x, 8 * y);
    return (rgb){0.6f + 0.3f * v, 0.8f + 0.2f * v, 1};
}
static rgb rainbow(float x, float y)
{
    float h = x * 6 + 0.3f * sinf(6 * y);
    return (rgb){clamp01(fabsf(h - 3) - 1), clamp01(2 - fabsf(h - 2)), clamp01(2 - fabsf(h - 4))};
}

static const struct {
    const char *name;
    draw_fn *draw;
} pictures[] = {
    {"sunset-over-the-sea", sunset},
    {"green-hills", hills},
    {"snowy-mountains", mountains},
    {"city-at-night", night_city},
    {"beach", beach},
    {"forest", forest},
    {"house", house},
    {"sailing-boat", boat},
    {"red-apple", red_apple},
    {"green-apple", green_apple},
    {"orange", orange},
    {"flower", flower},
    {"moon", moon},
    {"page-of-text", page},
    {"bar-chart", chart},
    {"warm-stripes", stripes_warm},
    {"cool-checks", checks_cool},
    {"grey-rings", rings_neutral},
    {"marble", marble},
    {"fire", fire},
    {"ice", ice},
    {"rainbow", rainbow},
};

static void render(lk_image *im, draw_fn *draw)
{
    for (unsigned y = 0; y < im->height; y++)
        for (unsigned x = 0; x < im->width; x++) {
            rgb c = draw(((float)x + 0.5f) / SIDE_X, ((float)y + 0.5f) / SIDE_Y);
            unsigned char *p = im->px + 3 * ((size_t)y * im->width + x);
            p[0] = (unsigned char)lrintf(255 * clamp01(c.r));
            p[1] = (unsigned char)lrintf(255 * clamp01(c.g));
            p[2] = (unsigned char)lrintf(255 * clamp01(c.b));
        }
}

size_t lk_demo_count(void)
{
    return LK_ARRAY_LEN(pictures);
}

lk_code lk_demo_picture(size_t i, const char **ret_name, lk_image *ret, lk_err *err)
{
    lk_code code = lk_image_new(ret, SIDE_X, SIDE_Y, err);
    if (code)
        return code;
    render(ret, pictures[i].draw);
    *ret_name = pictures[i].name;
    return LK_OK;
}

lk_code lk_demo_draw(const char *dir, size_t *ret_n, lk_err *err)
{
    lk_image im = {0};
    lk_buf b;
    lk_buf_init(&b, 16u << 20);
    lk_code code = lk_image_start(err);
    if (!code)
        code = lk_os_mkdirs(dir, err);
    if (!code)
        code = lk_image_new(&im, SIDE_X, SIDE_Y, err);
    for (size_t i = 0; !code && i < LK_ARRAY_LEN(pictures); i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof path, "%s/%s.jpg", dir, pictures[i].name);
        if (n < 0 || (size_t)n >= sizeof path)
            code = lk_fail(err, LK_E_LIMIT, "the path \"%s\" is too long", dir);
        render(&im, pictures[i].draw);
        lk_buf_clear(&b);
        if (!code)
            code = lk_image_encode(&im, LK_IMG_JPEG, 90, &b, err);
        if (!code)
            code = lk_os_write_file(path, b.p, b.n, err);
    }
    lk_image_release(&im);
    lk_buf_release(&b);
    if (!code)
        *ret_n = LK_ARRAY_LEN(pictures);
    return code;
}
