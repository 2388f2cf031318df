/* The only file that knows ONNX Runtime's header. */
#include "model/onnx.h"

#include <dlfcn.h>
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"
#include "kern/kern.h"

#define API_VERSION 21 /* what this file was written against; newer libraries give it too */

struct lk_onnx {
    const OrtApi *api;
    OrtEnv *env;
    OrtMemoryInfo *memory;
    char version[32];
    char provider[16];
};

struct lk_session {
    lk_onnx *rt;
    OrtSession *s;
    size_t n_in, n_out;
    lk_tensor_info *in, *out;
    const char **in_names, **out_names;
};

/* ---- the library ---- */

static const char *const known_names[] = {
#ifdef LK_PRIVATE_LIBDIR
    LK_PRIVATE_LIBDIR "/libonnxruntime.so.1", /* installed with the program */
#endif
#ifdef LK_ONNXRUNTIME_DIR
    LK_ONNXRUNTIME_DIR "/libonnxruntime.so.1", /* beside the checkout, from tools/setup */
#endif
    "libonnxruntime.so.1",
    "libonnxruntime.so.1.21",
    "libonnxruntime.so",
};

static void *load(const char *path, lk_err *err)
{
    void *lib = NULL;
    const char *why = NULL;
    if (path) {
        lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        why = lib ? NULL : dlerror();
    } else {
        for (size_t i = 0; !lib && i < LK_ARRAY_LEN(known_names); i++)
            lib = dlopen(known_names[i], RTLD_NOW | RTLD_LOCAL);
    }
    if (!lib && path)
        (void)lk_fail_field(err, LK_E_NOT_FOUND, "onnxruntime", "cannot load ONNX Runtime: %s",
                            why);
    else if (!lib)
        (void)lk_fail_field(err, LK_E_NOT_FOUND, "onnxruntime",
                            "ONNX Runtime is not installed (looked for libonnxruntime.so.1; "
                            "LOOKALIKE_ONNXRUNTIME names another file)");
    return lib;
}

/* The runtime prints nothing: what matters comes back as a status. */
static void ORT_API_CALL swallow(void *ctx, OrtLoggingLevel level, const char *category,
                                 const char *id, const char *where, const char *message)
{
    (void)ctx, (void)level, (void)category, (void)id, (void)where, (void)message;
}

/* The status as our error; frees it. LK_OK for a NULL status. What the runtime calls an invalid
 * argument is the model's fault, too: what is fed to it was checked against its own inputs. */
static lk_code failed(const lk_onnx *o, OrtStatus *st, const char *what, lk_err *err)
{
    if (!st)
        return LK_OK;
    lk_code code = lk_fail(err, LK_E_MODEL, "%s: %s", what, o->api->GetErrorMessage(st));
    o->api->ReleaseStatus(st);
    return code;
}

static lk_code check_provider(lk_onnx *o, const char *provider, lk_err *err)
{
    static const struct {
        const char *name, *runtime;
    } known[] = {{"cpu", "CPUExecutionProvider"},
                 {"cuda", "CUDAExecutionProvider"},
                 {"tensorrt", "TensorrtExecutionProvider"}};
    const char *want = NULL;
    char **have = NULL;
    int n = 0;
    bool found = false;
    for (size_t i = 0; i < LK_ARRAY_LEN(known); i++)
        if (strcmp(known[i].name, provider) == 0)
            want = known[i].runtime;
    if (!want)
        return lk_fail_field(err, LK_E_INVALID, "provider",
                             "a provider is cpu, cuda or tensorrt, not \"%s\"", provider);
    lk_code code = failed(o, o->api->GetAvailableProviders(&have, &n), "providers", err);
    if (code)
        return code;
    for (int i = 0; i < n; i++)
        found = found || strcmp(have[i], want) == 0;
    OrtStatus *ignored = o->api->ReleaseAvailableProviders(have, n);
    if (ignored)
        o->api->ReleaseStatus(ignored);
    snprintf(o->provider, sizeof o->provider, "%s", provider);
    return found ? LK_OK
                 : lk_fail_field(
                       err, LK_E_UNSUPPORTED, "provider",
                       "the provider %s is not in this ONNX Runtime %s: it was built without "
                       "%s (--onnxruntime names the library of a build that has it)",
                       provider, o->version, want);
}

/* ---- its environment ---- */

typedef struct opening {
    lk_onnx *o;
    OrtStatus *status;
} opening;

static void create_env(void *ctx)
{
    opening *p = ctx;
    p->status = p->o->api->CreateEnvWithCustomLogger(swallow, NULL, ORT_LOGGING_LEVEL_FATAL,
                                                     "lookalike", &p->o->env);
}

static size_t command_line_bytes(void)
{
    char some[4096];
    size_t n = 0, now;
    FILE *f = fopen("/proc/self/cmdline", "rb");
    while (f && (now = fread(some, 1, sizeof some, f)) > 0)
        n += now;
    if (f)
        fclose(f);
    return n;
}

/* ONNX Runtime 1.30 searches the process's command line by a regular expression whose depth is that
 * of the text: some 40 KiB of arguments (`add` with a few hundred paths) overflow an ordinary stack
 * of 8 MiB. So a long one gets a stack that is long enough. */
static lk_code open_env(lk_onnx *o, lk_err *err)
{
    enum { HARMLESS = 4096, STACK_A_BYTE = 1024 }; /* measured: about 210 */
    opening p = {o, NULL};
    lk_thread *t = NULL;
    size_t n = command_line_bytes();
    if (n <= HARMLESS) {
        create_env(&p);
    } else {
        lk_code code = lk_thread_start_deep(&t, ((size_t)8 << 20) + n * STACK_A_BYTE, "onnxruntime",
                                            create_env, &p, err);
        if (code)
            return code;
        lk_thread_join(t);
    }
    return failed(o, p.status, "ONNX Runtime", err);
}

lk_code lk_onnx_open(const char *path, const char *provider, lk_onnx **ret, lk_err *err)
{
    void *lib = load(path, err);
    if (!lib)
        return LK_E_NOT_FOUND;
    const OrtApiBase *(*get_base)(void) = NULL;
    void *sym = dlsym(lib, "OrtGetApiBase");
    memcpy(&get_base, &sym, sizeof sym);
    const OrtApi *api = get_base ? get_base()->GetApi(API_VERSION) : NULL;
    if (!api)
        return lk_fail_field(err, LK_E_UNSUPPORTED, "onnxruntime",
                             "this ONNX Runtime is too old: 1.%d or newer is needed", API_VERSION);
    lk_onnx *o = lk_calloc(1, sizeof *o);
    if (!o)
        return lk_fail(err, LK_E_NOMEM, "out of memory");
    o->api = api;
    snprintf(o->version, sizeof o->version, "%s", get_base()->GetVersionString());
    lk_code code = open_env(o, err);
    if (!code)
        code = failed(o, api->DisableTelemetryEvents(o->env), "ONNX Runtime", err);
    if (!code)
        code = failed(o, api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &o->memory),
                      "ONNX Runtime", err);
    if (!code)
        code = check_provider(o, provider ? provider : "cpu", err);
    if (code) {
        lk_onnx_close(o);
        return code;
    }
    *ret = o;
    return LK_OK;
}

void lk_onnx_close(lk_onnx *o)
{
    if (!o)
        return;
    if (o->memory)
        o->api->ReleaseMemoryInfo(o->memory);
    if (o->env)
        o->api->ReleaseEnv(o->env);
    lk_free(o);
}

const char *lk_onnx_version(const lk_onnx *o)
{
    return o->version;
}

/* ---- a session ---- */

static lk_code add_provider(lk_onnx *o, OrtSessionOptions *so, lk_err *err)
{
    lk_code code = LK_OK;
    if (strcmp(o->provider, "cuda") == 0) {
        OrtCUDAProviderOptionsV2 *cuda = NULL;
        code = failed(o, o->api->CreateCUDAProviderOptions(&cuda), "CUDA", err);
        if (!code)
            code = failed(o, o->api->SessionOptionsAppendExecutionProvider_CUDA_V2(so, cuda),
                          "CUDA", err);
        if (cuda)
            o->api->ReleaseCUDAProviderOptions(cuda);
    } else if (strcmp(o->provider, "tensorrt") == 0) {
        OrtTensorRTProviderOptionsV2 *trt = NULL;
        code = failed(o, o->api->CreateTensorRTProviderOptions(&trt), "TensorRT", err);
        if (!code)
            code = failed(o, o->api->SessionOptionsAppendExecutionProvider_TensorRT_V2(so, trt),
                          "TensorRT", err);
        if (trt)
            o->api->ReleaseTensorRTProviderOptions(trt);
    }
    return code;
}

/* One thread a run and no spinning: the callers are the parallelism. */
static lk_code make_options(lk_onnx *o, OrtSessionOptions **ret, lk_err *err)
{
    const OrtApi *a = o->api;
    const char *what = "session options";
    lk_code code = failed(o, a->CreateSessionOptions(ret), what, err);
    if (!code)
        code = failed(o, a->SetIntraOpNumThreads(*ret, 1), what, err);
    if (!code)
        code = failed(o, a->SetInterOpNumThreads(*ret, 1), what, err);
    if (!code)
        code = failed(o, a->SetSessionExecutionMode(*ret, ORT_SEQUENTIAL), what, err);
    if (!code)
        code = failed(o, a->SetSessionGraphOptimizationLevel(*ret, ORT_ENABLE_ALL), what, err);
    if (!code)
        code = failed(o, a->AddSessionConfigEntry(*ret, "session.intra_op.allow_spinning", "0"),
                      what, err);
    return code ? code : add_provider(o, *ret, err);
}

static lk_tensor_type type_of(ONNXTensorElementDataType t)
{
    switch (t) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
        return LK_TENSOR_F32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
        return LK_TENSOR_F16;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
        return LK_TENSOR_I32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
        return LK_TENSOR_I64;
    default:
        return LK_TENSOR_OTHER;
    }
}

static ONNXTensorElementDataType ort_type(lk_tensor_type t)
{
    static const ONNXTensorElementDataType of[] = {
        [LK_TENSOR_OTHER] = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED,
        [LK_TENSOR_F32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        [LK_TENSOR_F16] = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        [LK_TENSOR_I32] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        [LK_TENSOR_I64] = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
    };
    return of[t];
}

static size_t type_bytes(lk_tensor_type t)
{
    return t == LK_TENSOR_I64 ? 8 : t == LK_TENSOR_F16 ? 2 : t == LK_TENSOR_OTHER ? 0 : 4;
}

/* Name, type and shape of input or output i. */
static lk_code read_info(lk_session *s, bool input, size_t i, lk_tensor_info *ret, lk_err *err)
{
    const OrtApi *a = s->rt->api;
    OrtAllocator *alloc = NULL;
    OrtTypeInfo *ti = NULL;
    const OrtTensorTypeAndShapeInfo *si = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    char *name = NULL;
    const char *what = "the model's tensors";
    lk_code code = failed(s->rt, a->GetAllocatorWithDefaultOptions(&alloc), what, err);
    if (!code)
        code = failed(s->rt,
                      input ? a->SessionGetInputName(s->s, i, alloc, &name)
                            : a->SessionGetOutputName(s->s, i, alloc, &name),
                      what, err);
    if (!code && strlen(name) >= sizeof ret->name)
        code = lk_fail(err, LK_E_MODEL, "a tensor's name is too long");
    if (!code)
        code = failed(s->rt,
                      input ? a->SessionGetInputTypeInfo(s->s, i, &ti)
                            : a->SessionGetOutputTypeInfo(s->s, i, &ti),
                      what, err);
    if (!code)
        code = failed(s->rt, a->CastTypeInfoToTensorInfo(ti, &si), what, err);
    if (!code && !si)
        code = lk_fail(err, LK_E_MODEL, "\"%s\" is no tensor", name);
    if (!code)
        code = failed(s->rt, a->GetTensorElementType(si, &type), what, err);
    if (!code)
        code = failed(s->rt, a->GetDimensionsCount(si, &ret->rank), what, err);
    if (!code && ret->rank > LK_MAX_TENSOR_RANK)
        code = lk_fail(err, LK_E_MODEL, "\"%s\" has %zu axes", name, ret->rank);
    if (!code)
        code = failed(s->rt, a->GetDimensions(si, ret->shape, ret->rank), what, err);
    if (!code) {
        snprintf(ret->name, sizeof ret->name, "%s", name);
        ret->type = type_of(type);
    }
    if (ti)
        a->ReleaseTypeInfo(ti);
    if (name)
        alloc->Free(alloc, name);
    return code;
}

static lk_code read_infos(lk_session *s, bool input, size_t *ret_n, lk_tensor_info **ret,
                          const char ***ret_names, lk_err *err)
{
    const OrtApi *a = s->rt->api;
    lk_code code = failed(
        s->rt, input ? a->SessionGetInputCount(s->s, ret_n) : a->SessionGetOutputCount(s->s, ret_n),
        "the model's tensors", err);
    if (code)
        return code;
    if (*ret_n > (input ? LK_MAX_INPUTS : LK_MAX_OUTPUTS))
        return lk_fail(err, LK_E_MODEL, "the model has %zu %s", *ret_n,
                       input ? "inputs" : "outputs");
    *ret = lk_calloc(*ret_n + 1, sizeof **ret);
    *ret_names = lk_calloc(*ret_n + 1, sizeof **ret_names);
    if (!*ret || !*ret_names)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    for (size_t i = 0; !code && i < *ret_n; i++) {
        code = read_info(s, input, i, &(*ret)[i], err);
        (*ret_names)[i] = (*ret)[i].name;
    }
    return code;
}

lk_code lk_session_new(lk_onnx *o, lk_blob model, lk_session **ret, lk_err *err)
{
    if (lk_onnx_has_external_data(model))
        return lk_fail(err, LK_E_MODEL, "the model keeps weights in other files");
    OrtSessionOptions *so = NULL;
    lk_session *s = lk_calloc(1, sizeof *s);
    if (!s)
        return lk_fail(err, LK_E_NOMEM, "out of memory for a model");
    s->rt = o;
    lk_code code = make_options(o, &so, err);
    if (!code)
        code = failed(o, o->api->CreateSessionFromArray(o->env, model.p, model.n, so, &s->s),
                      "ONNX Runtime refuses the model", err);
    if (!code)
        code = read_infos(s, true, &s->n_in, &s->in, &s->in_names, err);
    if (!code)
        code = read_infos(s, false, &s->n_out, &s->out, &s->out_names, err);
    if (so)
        o->api->ReleaseSessionOptions(so);
    if (code) {
        lk_session_free(s);
        return code;
    }
    *ret = s;
    return LK_OK;
}

void lk_session_free(lk_session *s)
{
    if (!s)
        return;
    if (s->s)
        s->rt->api->ReleaseSession(s->s);
    lk_free(s->in);
    lk_free(s->out);
    lk_free(s->in_names);
    lk_free(s->out_names);
    lk_free(s);
}

size_t lk_session_n_inputs(const lk_session *s)
{
    return s->n_in;
}
size_t lk_session_n_outputs(const lk_session *s)
{
    return s->n_out;
}
const lk_tensor_info *lk_session_input(const lk_session *s, size_t i)
{
    return &s->in[i];
}
const lk_tensor_info *lk_session_output(const lk_session *s, size_t i)
{
    return &s->out[i];
}

/* ---- running ---- */

static lk_code wrap(lk_session *s, const lk_tensor *t, OrtValue **ret, lk_err *err)
{
    size_t bytes = type_bytes(t->type);
    for (size_t i = 0; i < t->rank; i++)
        bytes *= (size_t)t->shape[i];
    /* The runtime only reads inputs; its signature just does not say so. */
    void *data;
    memcpy(&data, &t->data, sizeof data);
    return failed(s->rt,
                  s->rt->api->CreateTensorWithDataAsOrtValue(s->rt->memory, data, bytes, t->shape,
                                                             t->rank, ort_type(t->type), ret),
                  "the model's input", err);
}

static lk_code show(lk_session *s, OrtValue *v, const char *name, lk_session_see_fn *see, void *ctx,
                    lk_err *err)
{
    const OrtApi *a = s->rt->api;
    const char *what = "the model's output";
    OrtTensorTypeAndShapeInfo *si = NULL;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    lk_tensor_info t;
    size_t n = 0;
    void *data = NULL;
    float *wide = NULL;
    lk_code code = failed(s->rt, a->GetTensorTypeAndShape(v, &si), what, err);
    if (!code)
        code = failed(s->rt, a->GetTensorShapeElementCount(si, &n), what, err);
    if (!code)
        code = failed(s->rt, a->GetTensorElementType(si, &type), what, err);
    if (!code)
        code = failed(s->rt, a->GetDimensionsCount(si, &t.rank), what, err);
    if (!code && t.rank > LK_MAX_TENSOR_RANK)
        code = lk_fail(err, LK_E_MODEL, "\"%s\" came with %zu axes", name, t.rank);
    if (!code)
        code = failed(s->rt, a->GetDimensions(si, t.shape, t.rank), what, err);
    if (!code)
        code = failed(s->rt, a->GetTensorMutableData(v, &data), what, err);
    t.type = type_of(type);
    snprintf(t.name, sizeof t.name, "%s", name);
    if (!code && t.type == LK_TENSOR_F16) {
        wide = lk_alloc_array(n, sizeof *wide);
        if (wide)
            lk_kern_best()->f16_to_f32(data, wide, n);
        else
            code = lk_fail(err, LK_E_NOMEM, "out of memory for the model's output");
    } else if (!code && t.type != LK_TENSOR_F32) {
        code = lk_fail(err, LK_E_MODEL, "\"%s\" is not of floats", name);
    }
    if (!code)
        code = see(ctx, &t, wide ? wide : data, err);
    lk_free(wide);
    if (si)
        a->ReleaseTensorTypeAndShapeInfo(si);
    return code;
}

lk_code lk_session_run(lk_session *s, const lk_tensor *inputs, lk_session_see_fn *see, void *ctx,
                       lk_err *err)
{
    OrtValue *in[LK_MAX_INPUTS] = {0}, *out[LK_MAX_OUTPUTS] = {0};
    lk_code code = LK_OK;
    for (size_t i = 0; !code && i < s->n_in; i++)
        code = wrap(s, &inputs[i], &in[i], err);
    if (!code)
        code = failed(s->rt,
                      s->rt->api->Run(s->s, NULL, s->in_names, (const OrtValue *const *)in, s->n_in,
                                      s->out_names, s->n_out, out),
                      "the model failed", err);
    for (size_t i = 0; !code && i < s->n_out; i++)
        code = show(s, out[i], s->out_names[i], see, ctx, err);
    for (size_t i = 0; i < LK_ARRAY_LEN(out); i++)
        if (out[i])
            s->rt->api->ReleaseValue(out[i]);
    for (size_t i = 0; i < LK_ARRAY_LEN(in); i++)
        if (in[i])
            s->rt->api->ReleaseValue(in[i]);
    return code;
}
