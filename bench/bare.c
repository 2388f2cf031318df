#include "bare.h"

#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION 21
#define MAX_OUTPUTS 8

struct bare {
    const OrtApi *a;
    const char *version;
    OrtEnv *env;
    OrtSession *s;
    OrtMemoryInfo *memory;
    OrtAllocator *alloc;
    char *in, *out[MAX_OUTPUTS];
    size_t n_out;
    int64_t shape[4];
    size_t rank;
};

static void must(const bare *b, OrtStatus *st)
{
    if (!st)
        return;
    fprintf(stderr, "bench: ONNX Runtime: %s\n", b->a->GetErrorMessage(st));
    exit(1);
}

static void load(bare *b, const char *runtime)
{
    void *lib = dlopen(runtime ? runtime : "libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
#ifdef LK_ONNXRUNTIME_DIR
    if (!lib && !runtime)
        lib = dlopen(LK_ONNXRUNTIME_DIR "/libonnxruntime.so.1", RTLD_NOW | RTLD_LOCAL);
#endif
    const OrtApiBase *(*get_base)(void) = NULL;
    void *sym = lib ? dlsym(lib, "OrtGetApiBase") : NULL;
    memcpy(&get_base, &sym, sizeof sym);
    b->a = get_base ? get_base()->GetApi(API_VERSION) : NULL;
    if (!b->a) {
        fprintf(stderr, "bench: ONNX Runtime cannot be loaded\n");
        exit(1);
    }
    b->version = get_base()->GetVersionString();
}

static void read_input(bare *b)
{
    OrtTypeInfo *ti = NULL;
    const OrtTensorTypeAndShapeInfo *si = NULL;
    must(b, b->a->SessionGetInputTypeInfo(b->s, 0, &ti));
    must(b, b->a->CastTypeInfoToTensorInfo(ti, &si));
    must(b, b->a->GetDimensionsCount(si, &b->rank));
    if (b->rank > 4)
        b->rank = 4;
    must(b, b->a->GetDimensions(si, b->shape, b->rank));
    b->a->ReleaseTypeInfo(ti);
}

bare *bare_open(const char *runtime, const char *path)
{
    OrtSessionOptions *so = NULL;
    bare *b = calloc(1, sizeof *b);
    if (!b)
        abort();
    load(b, runtime);
    must(b, b->a->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "bare", &b->env));
    must(b, b->a->CreateSessionOptions(&so));
    must(b, b->a->SetIntraOpNumThreads(so, 1));
    must(b, b->a->SetSessionGraphOptimizationLevel(so, ORT_ENABLE_ALL));
    must(b, b->a->CreateSession(b->env, path, so, &b->s));
    b->a->ReleaseSessionOptions(so);
    must(b, b->a->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &b->memory));
    must(b, b->a->GetAllocatorWithDefaultOptions(&b->alloc));
    must(b, b->a->SessionGetInputName(b->s, 0, b->alloc, &b->in));
    must(b, b->a->SessionGetOutputCount(b->s, &b->n_out));
    if (b->n_out > MAX_OUTPUTS)
        b->n_out = MAX_OUTPUTS;
    for (size_t i = 0; i < b->n_out; i++)
        must(b, b->a->SessionGetOutputName(b->s, i, b->alloc, &b->out[i]));
    read_input(b);
    return b;
}

void bare_close(bare *b)
{
    for (size_t i = 0; i < b->n_out; i++)
        b->alloc->Free(b->alloc, b->out[i]);
    b->alloc->Free(b->alloc, b->in);
    b->a->ReleaseMemoryInfo(b->memory);
    b->a->ReleaseSession(b->s);
    b->a->ReleaseEnv(b->env);
    free(b);
}

const char *bare_version(const bare *b)
{
    return b->version;
}

size_t bare_fixed_length(const bare *b)
{
    return b->rank && b->shape[b->rank - 1] > 0 ? (size_t)b->shape[b->rank - 1] : 0;
}

int bare_one_row(const bare *b)
{
    return b->shape[0] == 1;
}

/* The first output alone is asked for, as a tower has one that counts. */
static void run(bare *b, const void *data, size_t bytes, const int64_t *shape, size_t rank,
                ONNXTensorElementDataType type)
{
    OrtValue *in = NULL, *out = NULL;
    void *p;
    memcpy(&p, &data, sizeof p); /* inputs are only read */
    must(b, b->a->CreateTensorWithDataAsOrtValue(b->memory, p, bytes, shape, rank, type, &in));
    must(b, b->a->Run(b->s, NULL, (const char *const *)&b->in, (const OrtValue *const *)&in, 1,
                      (const char *const *)b->out, 1, &out));
    b->a->ReleaseValue(out);
    b->a->ReleaseValue(in);
}

void bare_run_pictures(bare *b, const float *pixels, size_t n, size_t side)
{
    int64_t shape[4] = {(int64_t)n, 3, (int64_t)side, (int64_t)side};
    run(b, pixels, n * 3 * side * side * sizeof *pixels, shape, 4,
        ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

void bare_run_texts(bare *b, const int64_t *ids, size_t n, size_t length)
{
    int64_t shape[2] = {(int64_t)n, (int64_t)length};
    run(b, ids, n * length * sizeof *ids, shape, 2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64);
}
