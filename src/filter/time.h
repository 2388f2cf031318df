/* Dates and times as people write them (ISO 8601, the common part of it).
 *
 *   2024-05-01                      midnight, UTC
 *   2024-05-01T10:20  2024-05-01 10:20:30.123
 *   2024-05-01T10:20:30Z            Z or an offset (+08:00, -0330); without one: UTC */
#ifndef LK_FILTER_TIME_H
#define LK_FILTER_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Milliseconds since 1970 UTC. False: not such a text, or no such day or hour. Digits beyond the
 * millisecond are dropped. */
bool lk_time_parse(lk_str text, int64_t *ret_ms);

#endif
