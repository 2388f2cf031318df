/* A fuzz target: one function that gets bytes from outside and must survive them.
 *
 * Under clang and -Dfuzz=enabled it runs in libFuzzer (`make fuzz`); otherwise replay.c feeds it
 * the checked-in corpus, as a test. It must give back all it takes, so that leaks show. */
#ifndef LK_FUZZ_TARGET_H
#define LK_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
