#include "server/request.h"

lk_code lk_request_int(const lk_request *rq, const char *name, int64_t min, int64_t max,
                       int64_t *ret, lk_err *err)
{
    lk_str text;
    bool found = false;
    lk_code code = lk_args_one(&rq->query, name, &text, &found, err);
    return code || !found ? code : lk_text_int(name, text, min, max, ret, err);
}

lk_code lk_request_str(const lk_request *rq, const char *name, lk_str *ret, lk_err *err)
{
    bool found = false;
    return lk_args_one(&rq->query, name, ret, &found, err);
}

lk_code lk_request_json(const lk_request *rq, lk_json **ret, lk_err *err)
{
    lk_json *doc = NULL;
    lk_str text = lk_buf_str(&rq->body.whole);
    if (lk_str_trim(text).n == 0)
        return lk_fail(err, LK_E_INVALID, "the body is empty; a JSON object is expected");
    lk_code code = lk_json_parse(text, &doc, err);
    if (code)
        return code == LK_E_NOMEM ? code : lk_err_prefix(err, code, "the body");
    lk_jtype type = lk_jval_type(lk_json_root(doc));
    if (type != LK_J_OBJ) {
        lk_json_free(doc);
        return lk_fail(err, LK_E_INVALID, "the body must be a JSON object, not %s",
                       lk_jtype_name(type));
    }
    *ret = doc;
    return LK_OK;
}

lk_code lk_check_id(lk_str id, lk_err *err)
{
    if (id.n == 0)
        return lk_fail_field(err, LK_E_INVALID, "id", "the id is empty");
    if (id.n > LK_MAX_ID_BYTES_HTTP)
        return lk_fail_field(err, LK_E_INVALID, "id", "the id has %zu bytes, more than %d", id.n,
                             LK_MAX_ID_BYTES_HTTP);
    if (!lk_utf8_valid(id) || memchr(id.p, 0, id.n))
        return lk_fail_field(err, LK_E_INVALID, "id", "the id is not UTF-8 text");
    return LK_OK;
}

bool lk_request_has(const lk_request *rq, const char *etag)
{
    lk_str rest = lk_str_of(rq->in.if_none_match);
    while (rest.n > 0) {
        lk_str one = lk_str_trim(lk_str_cut(&rest, ','));
        if (lk_str_starts(one, LK_STR("W/")))
            one = (lk_str){one.p + 2, one.n - 2};
        if (lk_str_is(one, etag) || lk_str_is(one, "*"))
            return true;
    }
    return false;
}
