/* ONNX Runtime, behind its C API, loaded at run time.
 *
 * The library is found by path or under its known names; any version with the C API 21 or newer
 * serves. It stays loaded for the life of the process, because it does not like to be unloaded. A
 * session is made from bytes that the caller has checked, never from a path, and models that keep
 * weights in other files are refused: what was hashed is what runs. Sessions are immutable and run
 * on the calling thread alone; any number of threads may run one at once. */
#ifndef LK_MODEL_ONNX_H
#define LK_MODEL_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define LK_MAX_TENSOR_RANK 8
#define LK_MAX_INPUTS 8
#define LK_MAX_OUTPUTS 4

typedef enum lk_tensor_type {
    LK_TENSOR_OTHER,
    LK_TENSOR_F32,
    LK_TENSOR_F16,
    LK_TENSOR_I32,
    LK_TENSOR_I64,
} lk_tensor_type;

typedef struct lk_tensor_info {
    char name[128];
    lk_tensor_type type;
    size_t rank;
    int64_t shape[LK_MAX_TENSOR_RANK]; /* -1: free */
} lk_tensor_info;

typedef struct lk_onnx lk_onnx;
typedef struct lk_session lk_session;

/* path: NULL tries LOOKALIKE's own folders and the system's names. provider: "cpu", "cuda",
 * "tensorrt". LK_E_NOT_FOUND says what was tried; LK_E_UNSUPPORTED a provider that it lacks. */
LK_CHECK lk_code lk_onnx_open(const char *path, const char *provider, lk_onnx **ret, lk_err *err);
void lk_onnx_close(lk_onnx *o); /* NULL allowed; after its sessions */
const char *lk_onnx_version(const lk_onnx *o);

/* LK_E_MODEL with the runtime's reason, or for weights outside the file. */
LK_CHECK lk_code lk_session_new(lk_onnx *o, lk_blob model, lk_session **ret, lk_err *err);
void lk_session_free(lk_session *s); /* NULL allowed */

size_t lk_session_n_inputs(const lk_session *s);
size_t lk_session_n_outputs(const lk_session *s);
const lk_tensor_info *lk_session_input(const lk_session *s, size_t i);
const lk_tensor_info *lk_session_output(const lk_session *s, size_t i);

typedef struct lk_tensor {
    lk_tensor_type type; /* of data: F32, I32 or I64, or F16 bits */
    const void *data;
    size_t rank;
    const int64_t *shape;
} lk_tensor;

/* Is shown an output as floats, which are valid during the call. */
typedef lk_code lk_session_see_fn(void *ctx, const lk_tensor_info *shape, const float *data,
                                  lk_err *err);

/* inputs[n_inputs] in the session's order. see is called once for each output, in order, with the
 * shape that it came in (no axis is free); its code ends the run. */
LK_CHECK lk_code lk_session_run(lk_session *s, const lk_tensor *inputs, lk_session_see_fn *see,
                                void *ctx, lk_err *err);

/* Does the protobuf keep tensors in other files? Malformed bytes count as no: the runtime refuses
 * them. */
bool lk_onnx_has_external_data(lk_blob model);

#endif
