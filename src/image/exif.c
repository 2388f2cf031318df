/* EXIF is a TIFF file without a picture: a byte order, then directories (IFDs) of 12-byte entries
 *
 *     u16 tag, u16 type, u32 count, u32 value-or-offset
 *
 * where a value of four bytes or fewer stands in the entry itself. Directories can point at one
 * another in circles; we follow exactly two pointers (camera data, position) from the first
 * directory and nothing else, so there is no circle to guard against. Each value is fetched through
 * one function that checks its bounds. A library (libexif) was rejected: it would bring an order of
 * magnitude more parsing of hostile bytes than the fourteen fields that are wanted here. */
#include "image/exif.h"

#include <math.h>

#include "base/mem.h"

typedef struct tiff {
    const unsigned char *p;
    size_t n;
    bool big_endian;
} tiff;

typedef struct entry {
    unsigned tag, type;
    uint32_t count;
    const unsigned char *value; /* bytes inside the structure */
} entry;

enum { T_BYTE = 1, T_ASCII = 2, T_SHORT = 3, T_LONG = 4, T_RATIONAL = 5 };

static unsigned get16(const tiff *t, const unsigned char *p)
{
    return t->big_endian ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static uint32_t get32(const tiff *t, const unsigned char *p)
{
    uint32_t a = get16(t, p), b = get16(t, p + 2);
    return t->big_endian ? a << 16 | b : b << 16 | a;
}

/* False when the entry's value does not lie inside the structure. */
static bool read_entry(const tiff *t, const unsigned char *p, entry *ret)
{
    static const unsigned char type_bytes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
    entry e = {.tag = get16(t, p), .type = get16(t, p + 2), .count = get32(t, p + 4)};
    if (e.type == 0 || e.type >= sizeof(type_bytes)) {
        return false;
    }
    uint64_t size = (uint64_t)e.count * type_bytes[e.type];
    e.value = p + 8;
    if (size > 4) {
        uint32_t at = get32(t, p + 8);
        if (size > t->n || at > t->n - size) {
            return false;
        }
        e.value = t->p + at;
    }
    *ret = e;
    return true;
}

typedef struct taken {
    char date[24], subsec[8], zone[8];
} taken;

typedef struct gps {
    double at[2]; /* latitude, longitude */
    char ref[2];  /* 'N' 'S', 'E' 'W' */
    bool has[2];
    double altitude;
    bool below_sea;
} gps;

typedef struct parse {
    tiff t;
    bool want_gps;
    lk_exif out;
    uint32_t exif_at, gps_at;
    taken taken;
    gps gps;
} parse;

/* Text as cameras mean it: without padding and control characters, cut at a character. Bytes that
 * are no UTF-8 (old cameras wrote anything) become '?'. */
static void take_text(const entry *e, char *ret, size_t cap)
{
    if (e->type != T_ASCII) {
        return;
    }
    size_t n = strnlen((const char *)e->value, e->count);
    lk_str s = lk_str_trim((lk_str){(const char *)e->value, n});
    bool is_utf8 = lk_utf8_valid(s);
    size_t out = 0;
    for (size_t i = 0; i < s.n;) {
        size_t from = i;
        if (is_utf8) {
            (void)lk_utf8_next(s, &i);
        } else {
            i++;
        }
        unsigned char c = (unsigned char)s.p[from];
        if (c < 0x20 || c == 0x7f) {
            continue;
        }
        if (out + (i - from) >= cap) {
            break;
        }
        if (!is_utf8 && c >= 0x80) {
            ret[out++] = '?';
        } else {
            memcpy(ret + out, s.p + from, i - from);
            out += i - from;
        }
    }
    ret[out] = '\0';
}

static bool take_unsigned(const parse *x, const entry *e, uint32_t *ret)
{
    if (e->count < 1 || (e->type != T_SHORT && e->type != T_LONG)) {
        return false;
    }
    *ret = e->type == T_SHORT ? get16(&x->t, e->value) : get32(&x->t, e->value);
    return true;
}

static bool take_rational(const parse *x, const entry *e, unsigned i, double *ret)
{
    if (e->type != T_RATIONAL || e->count <= i) {
        return false;
    }
    uint32_t over = get32(&x->t, e->value + 8 * (size_t)i);
    uint32_t under = get32(&x->t, e->value + 8 * (size_t)i + 4);
    if (under == 0) {
        return false;
    }
    *ret = (double)over / under;
    return true;
}

static void see_main(parse *x, const entry *e)
{
    uint32_t v;
    switch (e->tag) {
    case 0x010f:
        take_text(e, x->out.make, sizeof(x->out.make));
        break;
    case 0x0110:
        take_text(e, x->out.model, sizeof(x->out.model));
        break;
    case 0x0131:
        take_text(e, x->out.software, sizeof(x->out.software));
        break;
    case 0x0112:
        if (take_unsigned(x, e, &v) && v >= 1 && v <= 8) {
            x->out.orientation = v;
        }
        break;
    case 0x8769:
        (void)take_unsigned(x, e, &x->exif_at);
        break;
    case 0x8825:
        (void)take_unsigned(x, e, &x->gps_at);
        break;
    default:
        break;
    }
}

static void see_camera(parse *x, const entry *e)
{
    uint32_t v;
    switch (e->tag) {
    case 0x829a:
        (void)take_rational(x, e, 0, &x->out.exposure_s);
        break;
    case 0x829d:
        (void)take_rational(x, e, 0, &x->out.f_number);
        break;
    case 0x920a:
        (void)take_rational(x, e, 0, &x->out.focal_mm);
        break;
    case 0x8827:
        if (take_unsigned(x, e, &v)) {
            x->out.iso = v;
        }
        break;
    case 0x9003:
        take_text(e, x->taken.date, sizeof(x->taken.date));
        break;
    case 0x9011:
        take_text(e, x->taken.zone, sizeof(x->taken.zone));
        break;
    case 0x9291:
        take_text(e, x->taken.subsec, sizeof(x->taken.subsec));
        break;
    case 0xa434:
        take_text(e, x->out.lens, sizeof(x->out.lens));
        break;
    default:
        break;
    }
}

static void see_position(parse *x, const entry *e)
{
    double v[3] = {0};
    char ref[4] = "";
    switch (e->tag) {
    case 1:
    case 3:
        take_text(e, ref, sizeof(ref));
        x->gps.ref[e->tag / 2] = ref[0];
        break;
    case 2:
    case 4:
        /* Degrees, minutes, seconds; minutes with a fraction leave the seconds 0/0 in some files.
         */
        if (take_rational(x, e, 0, &v[0])) {
            (void)take_rational(x, e, 1, &v[1]);
            (void)take_rational(x, e, 2, &v[2]);
            x->gps.at[e->tag / 2 - 1] = v[0] + v[1] / 60 + v[2] / 3600;
            x->gps.has[e->tag / 2 - 1] = true;
        }
        break;
    case 5:
        x->gps.below_sea = e->type == T_BYTE && e->count >= 1 && e->value[0] == 1;
        break;
    case 6:
        (void)take_rational(x, e, 0, &x->gps.altitude);
        break;
    default:
        break;
    }
}

static void walk(parse *x, uint32_t at, void (*see)(parse *, const entry *))
{
    if (at < 8 || at > x->t.n || x->t.n - at < 2) {
        return;
    }
    size_t n = get16(&x->t, x->t.p + at);
    size_t fit = (x->t.n - at - 2) / 12;
    for (size_t i = 0; i < n && i < fit; i++) {
        entry e;
        if (read_entry(&x->t, x->t.p + at + 2 + 12 * i, &e)) {
            see(x, &e);
        }
    }
}

/* Digits from s[at], exactly n of them, into *ret. */
static bool digits(const char *s, size_t at, size_t n, int *ret)
{
    int v = 0;
    for (size_t i = at; i < at + n; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return false;
        }
        v = v * 10 + (s[i] - '0');
    }
    *ret = v;
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil). */
static int64_t days_of(int y, int m, int d)
{
    y -= m <= 2;
    int era = y / 400;
    int yoe = y - era * 400;
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (int64_t)era * 146097 + doe - 719468;
}

/* "+08:00", "-05:30", "Z"; anything else counts as UTC. */
static int zone_minutes(const char *z)
{
    int h, m;
    if ((z[0] != '+' && z[0] != '-') || strlen(z) < 6 || !digits(z, 1, 2, &h) || z[3] != ':' ||
        !digits(z, 4, 2, &m) || h > 15 || m > 59) {
        return 0;
    }
    return (z[0] == '-' ? -1 : 1) * (h * 60 + m);
}

static bool taken_ms(const taken *t, int64_t *ret)
{
    const char *s = t->date; /* "2026:11:21 09:30:00" */
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day, hour, minute, second;
    if (strlen(s) < 19 || !digits(s, 0, 4, &year) || !digits(s, 5, 2, &month) ||
        !digits(s, 8, 2, &day) || !digits(s, 11, 2, &hour) || !digits(s, 14, 2, &minute) ||
        !digits(s, 17, 2, &second)) {
        return false;
    }
    if (year < 1800 || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] ||
        hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    int64_t ms = 0;
    for (size_t i = 0, unit = 100; unit > 0 && t->subsec[i] >= '0' && t->subsec[i] <= '9'; i++) {
        ms += (int64_t)unit * (t->subsec[i] - '0');
        unit /= 10;
    }
    int64_t minutes = (days_of(year, month, day) * 24 + hour) * 60 + minute - zone_minutes(t->zone);
    *ret = (minutes * 60 + second) * 1000 + ms;
    return true;
}

static void finish_position(parse *x)
{
    const gps *g = &x->gps;
    if (!g->has[0] || !g->has[1] || !(g->at[0] <= 90) || !(g->at[1] <= 180)) {
        return;
    }
    x->out.has_gps = true;
    x->out.latitude = g->ref[0] == 'S' || g->ref[0] == 's' ? -g->at[0] : g->at[0];
    x->out.longitude = g->ref[1] == 'W' || g->ref[1] == 'w' ? -g->at[1] : g->at[1];
    x->out.altitude_m = g->below_sea ? -g->altitude : g->altitude;
}

void lk_exif_parse(lk_blob b, bool want_gps, lk_exif *ret)
{
    parse x = {.want_gps = want_gps, .out.orientation = 1};
    if (b.n >= 6 && memcmp(b.p, "Exif\0\0", 6) == 0) {
        b = (lk_blob){b.p + 6, b.n - 6};
    }
    bool is_little = b.n >= 8 && memcmp(b.p, "II*\0", 4) == 0;
    bool is_big = b.n >= 8 && memcmp(b.p, "MM\0*", 4) == 0;
    if (is_little || is_big) {
        x.t = (tiff){b.p, b.n, is_big};
        walk(&x, get32(&x.t, b.p + 4), see_main);
        walk(&x, x.exif_at, see_camera);
        x.out.has_taken = taken_ms(&x.taken, &x.out.taken_ms);
        if (want_gps) {
            walk(&x, x.gps_at, see_position);
            finish_position(&x);
        }
    }
    *ret = x.out;
}

void lk_exif_parse_hex(const char *text, bool want_gps, lk_exif *ret)
{
    *ret = (lk_exif){.orientation = 1};
    /* "\nexif\n    1234\n" and then hexadecimal in lines; three line ends come before it. */
    const char *p = text;
    for (int lines = 0; lines < 3 && p; lines++) {
        p = strchr(p, '\n');
        p = p ? p + 1 : NULL;
    }
    size_t cap = p ? strlen(p) / 2 : 0;
    unsigned char *bytes = cap ? lk_malloc(cap) : NULL;
    if (!bytes) {
        return;
    }
    size_t n = 0;
    while (p[0] && p[1] && n < cap) {
        if (p[0] == '\n') {
            p++;
            continue;
        }
        if (!lk_hex_decode((lk_str){p, 2}, bytes + n, 1)) {
            break;
        }
        n++;
        p += 2;
    }
    lk_exif_parse((lk_blob){bytes, n}, want_gps, ret);
    lk_free(bytes);
}
