/* The tables themselves, for kern.c. Each stands in the file of its instruction set. */
#ifndef LK_KERN_TABLES_H
#define LK_KERN_TABLES_H

#include "kern/kern.h"

extern const lk_kern lk_kern_scalar;
extern const lk_kern lk_kern_avx2;   /* with FMA and F16C */
extern const lk_kern lk_kern_avx512; /* F, BW, DQ, VL */
extern const lk_kern lk_kern_avx512vnni;
extern const lk_kern lk_kern_neon;

#endif
