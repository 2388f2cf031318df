/* ONNX Runtime with nothing around it: what the models benchmark is held against.
 *
 * A session out of a file, one thread a run, tensors prepared beforehand, a loop of Run. It shares
 * no line with src/model. Ends the program when something fails. */
#ifndef LK_BENCH_BARE_H
#define LK_BENCH_BARE_H

#include <stddef.h>
#include <stdint.h>

typedef struct bare bare;

bare *bare_open(const char *runtime, const char *path);
void bare_close(bare *b);
const char *bare_version(const bare *b);

/* The first input's last axis where it is fixed (a text's length), else 0; is it fixed at one row?
 */
size_t bare_fixed_length(const bare *b);
int bare_one_row(const bare *b);

/* One run over floats [n][3][side][side], or over ids [n][length]. */
void bare_run_pictures(bare *b, const float *pixels, size_t n, size_t side);
void bare_run_texts(bare *b, const int64_t *ids, size_t n, size_t length);

#endif
