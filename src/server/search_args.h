/* What is searched for, out of a JSON body or a form. */
#ifndef LK_SERVER_SEARCH_ARGS_H
#define LK_SERVER_SEARCH_ARGS_H

#include "server/router.h"

#define LK_MAX_FIELDS 64

typedef struct lk_search_args {
    lk_search search; /* points into the arrays below */
    lk_query_part parts[LK_MAX_QUERY_PARTS];
    lk_boost boosts[LK_MAX_BOOSTS];
    lk_str fields[LK_MAX_FIELDS];
    size_t n_fields;
    bool has_fields;                 /* with none of them: only ids and scores */
    bool has_picture;                /* then a bad format is the picture's fault */
    lk_json *doc;                    /* the texts live in it */
    void *owned[LK_MAX_QUERY_PARTS]; /* vectors, decoded pictures, lists */
    size_t n_owned;
} lk_search_args;

/* The members of a search as /openapi.json tells them, each ending with a NULL name. */
extern const lk_arg_doc lk_search_json_doc[];
extern const lk_arg_doc lk_search_part_doc[];
extern const lk_arg_doc lk_search_form_doc[];

/* Release in either case. max_results bounds top_k. */
LK_CHECK lk_code lk_search_args_json(lk_search_args *a, lk_json *doc, int64_t max_results,
                                     lk_err *err); /* takes doc over */
LK_CHECK lk_code lk_search_args_form(lk_search_args *a, const lk_body *body, int64_t max_results,
                                     lk_err *err);
/* Only what is looked for: text, image, id, vector and query of obj, which must live as long as a;
 * there may be none. */
LK_CHECK lk_code lk_search_args_parts(lk_search_args *a, const lk_jval *obj, lk_err *err);
void lk_search_args_init(lk_search_args *a);
void lk_search_args_release(lk_search_args *a);

LK_CHECK lk_code lk_search_add_part(lk_search_args *a, lk_query_part part, lk_err *err);
/* Keep memory (lk_free) as long as the search. On failure it is freed. */
LK_CHECK lk_code lk_search_own(lk_search_args *a, void *p, lk_err *err);

/* A picture out of its base64 text, or out of a data: URL. Errors name the field "image". */
LK_CHECK lk_code lk_base64_picture(lk_str text, lk_buf *into, lk_err *err);

/* The fault is in list[i]: say so in the field and in the sentence. */
lk_code lk_fail_item(lk_err *err, lk_code code, const char *list, size_t i);

/* Append "NAME == VALUE" to a filter's text, joined by "and"; names and values are quoted.
 * A list of values becomes "in", null "is null". */
LK_CHECK lk_code lk_filter_add_equal(lk_buf *filter, lk_str name, const lk_jval *value,
                                     lk_err *err);
void lk_filter_add_text(lk_buf *filter, const char *name, lk_str value);

#endif
