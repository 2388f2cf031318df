#include "filter/time.h"

#include <stddef.h>

/* A number of exactly n digits at the head of *s. */
static bool digits(lk_str *s, size_t n, int *ret)
{
    int v = 0;
    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    *s = (lk_str){s->p + n, s->n - n};
    *ret = v;
    return true;
}

static bool skip(lk_str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = (lk_str){s->p + 1, s->n - 1};
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is
 * the last of its year and the months' lengths follow (153 m + 2) / 5. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t century = y / 100;
    return 146097 * century / 4 + 1461 * (y % 100) / 4 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool parse_date(lk_str *s, int64_t *ret_days)
{
    int year = 0, month = 0, day = 0;
    if (!digits(s, 4, &year) || !skip(s, '-') || !digits(s, 2, &month) || !skip(s, '-') ||
        !digits(s, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ret_days = days_since_1970(year, month, day);
    return true;
}

static bool parse_clock(lk_str *s, int64_t *ret_ms)
{
    int hour = 0, minute = 0, second = 0, ms = 0;
    if (!digits(s, 2, &hour) || !skip(s, ':') || !digits(s, 2, &minute))
        return false;
    if (skip(s, ':')) {
        if (!digits(s, 2, &second))
            return false;
        if (skip(s, '.')) {
            int digit = 0;
            int weight = 100;
            if (!digits(s, 1, &digit))
                return false;
            do {
                ms += digit * weight;
                weight /= 10;
            } while (digits(s, 1, &digit));
        }
    }
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ret_ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + ms;
    return true;
}

static bool parse_zone(lk_str *s, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (s->n == 0 || skip(s, 'Z') || skip(s, 'z'))
        return true;
    bool west = skip(s, '-');
    int hour = 0, minute = 0;
    if ((!west && !skip(s, '+')) || !digits(s, 2, &hour))
        return false;
    skip(s, ':');
    if ((s->n && !digits(s, 2, &minute)) || hour > 23 || minute > 59)
        return false;
    *ret_ms = (hour * 60 + minute) * INT64_C(60000) * (west ? 1 : -1);
    return true;
}

bool lk_time_parse(lk_str text, int64_t *ret_ms)
{
    int64_t days = 0, clock_ms = 0, zone_ms = 0;
    if (!parse_date(&text, &days))
        return false;
    if (text.n) {
        if (!skip(&text, 'T') && !skip(&text, 't') && !skip(&text, ' '))
            return false;
        if (!parse_clock(&text, &clock_ms) || !parse_zone(&text, &zone_ms) || text.n)
            return false;
    }
    *ret_ms = days * INT64_C(86400000) + clock_ms + zone_ms;
    return true;
}
