#include "kern/kern.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kern/tables.h"

/* Best first. */
static const lk_kern *const tables[] = {
#if defined(__x86_64__)
    &lk_kern_avx512vnni,
    &lk_kern_avx512,
    &lk_kern_avx2,
#elif defined(__aarch64__)
    &lk_kern_neon,
#endif
    &lk_kern_scalar,
};

#if defined(__x86_64__)
/* Half floats, asked of the processor itself: clang has no name for them before its version 15. */
static int has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

static int runs_here(const lk_kern *k)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (k == &lk_kern_avx512vnni && !__builtin_cpu_supports("avx512vnni"))
        return 0;
    if (k == &lk_kern_avx512 || k == &lk_kern_avx512vnni)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (k == &lk_kern_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
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
    for (size_t i = 0; !k && i < sizeof tables / sizeof *tables; i++)
        if (runs_here(tables[i]))
            k = tables[i];
    return k ? k : &lk_kern_scalar;
}
