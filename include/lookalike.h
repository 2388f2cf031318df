/* Lookalike for other programs: a folder of pictures, searched by picture, by words and by both.
 *
 *     lookalike_options o = {.size = sizeof o, .data_dir = "data", .create = 1};
 *     lookalike *l;
 *     lookalike_error err;
 *     char *json;
 *     if (lookalike_open(&o, &l, &err))
 *         return complain(err.text);
 *     lookalike_query q = {.size = sizeof q, .text = "boat", .top_k = 5};
 *     if (lookalike_search(l, &q, &json, &err) == 0)
 *         puts(json);
 *     lookalike_free(json);
 *     lookalike_close(l);
 *
 * Calls return 0, or a positive code with its word and one sentence in the error (NULL allowed).
 * Texts are UTF-8 and NUL-terminated; results are JSON texts to lookalike_free. A handle may be
 * used from any number of threads; one process owns a data folder. Structs begin with their size,
 * so that they can grow. */
#ifndef LOOKALIKE_H
#define LOOKALIKE_H

#include <stddef.h>

#include "lookalike_error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lookalike lookalike;

typedef struct lookalike_options {
    size_t size;
    const char *data_dir;
    const char *model;       /* NULL: the collection's own; "mini" for a new one */
    const char *onnxruntime; /* the runtime's library; NULL: the known names */
    int threads;             /* 0: one a processor */
    int create;              /* make the collection when it is not there */
} lookalike_options;

LOOKALIKE_API const char *lookalike_version(void);

LOOKALIKE_API int lookalike_open(const lookalike_options *options, lookalike **ret,
                                 lookalike_error *err);
LOOKALIKE_API void lookalike_close(lookalike *l); /* NULL allowed; no call may be running */
LOOKALIKE_API void lookalike_free(char *json);    /* NULL allowed */

/* Add one picture file's bytes; durable when it returns. id, path and metadata (a JSON object) may
 * be NULL. Without an id the same bytes are stored once. *ret_json:
 * {"status":"added|duplicate|replaced","image":{…}}. */
LOOKALIKE_API int lookalike_add(lookalike *l, const void *bytes, size_t n, const char *id,
                                const char *path, const char *metadata, char **ret_json,
                                lookalike_error *err);

/* What to look for: any of text, image, id and vector, mixed by their weights (0 counts as 1). */
typedef struct lookalike_query {
    size_t size;
    const char *text;
    const void *image; /* a picture file's bytes */
    size_t image_bytes;
    const char *id;
    const float *vector;
    size_t vector_len;
    float text_weight, image_weight, id_weight, vector_weight; /* negative moves away */
    const char *filter; /* category == "food" and brightness > 0.3; or NULL */
    size_t top_k;       /* 0: 10 */
    size_t offset;
} lookalike_query;

/* *ret_json: {"results":[{"score","distance","similarity","image":{…}}],"matched":n} */
LOOKALIKE_API int lookalike_search(lookalike *l, const lookalike_query *query, char **ret_json,
                                   lookalike_error *err);

LOOKALIKE_API int lookalike_get(lookalike *l, const char *id, char **ret_json,
                                lookalike_error *err);
LOOKALIKE_API int lookalike_delete(lookalike *l, const char *id, lookalike_error *err);

#ifdef __cplusplus
}
#endif

#endif
