#include "kern/kern.h"

#include <stdlib.h>
#include <string.h>

#include "kern/tables.h"

/* Best first. */
static const lk_kern *const tables[] = {
#if defined(__x86_64__)
    &lk_kern_avx512,
    &lk_kern_avx2,
#elif defined(__aarch64__)
    &lk_kern_neon,
#endif
    &lk_kern_scalar,
};

static int runs_here(const lk_kern *k)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (k == &lk_kern_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (k == &lk_kern_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("f16c");
#endif
    (void)k;
    return 1;
}

const lk_kern *lk_kern_named(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i]->name, name) == 0 && runs_here(tables[i]))
            return tables[i];
    return NULL;
}

const lk_kern *lk_kern_best(void)
{
    const char *forced = getenv("LK_KERN");
    const lk_kern *k = forced ? lk_kern_named(forced) : NULL;
    for (size_t i = 0; !k; i++)
        if (runs_here(tables[i]))
            k = tables[i];
    return k;
}
