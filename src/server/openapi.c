/* /openapi.json, written from the route table, so that it cannot say anything else than the server
 * does. The shapes of JSON bodies come from the tables that their readers check against; those of
 * answers, which no reader checks, stand here. A type with a capital is another shape; one in
 * brackets is a list. */
#include <stdio.h>

#include "base/mem.h"
#include "server/handlers.h"

static const lk_arg_doc error_doc[] = {
    {"error", "Fault", "what went wrong"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc fault_doc[] = {
    {"code", "string", "a word for programs, such as invalid or not_found"},
    {"message", "string", "a sentence for people"},
    {"field", "string", "the argument at fault"},
    {"column", "integer", "where in its text, from 1"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc record_doc[] = {
    {"id", "string", "its id"},
    {"sha256", "string", "of the file, in hex"},
    {"format", "string", "jpeg, png, webp …"},
    {"bytes", "integer", "of the file"},
    {"width", "integer", "in pixels, turned upright"},
    {"height", "integer", "in pixels, turned upright"},
    {"path", "string", "where it came from"},
    {"filename", "string", "its name there"},
    {"created_at", "integer", "milliseconds since 1970 UTC"},
    {"updated_at", "integer", "milliseconds since 1970 UTC"},
    {"category", "string", "the most likely of the collection's labels"},
    {"confidence", "number", "of the category, 0 to 1"},
    {"all_probs", "object", "of every label"},
    {"dominant_colors", "[object]", "rgb and share"},
    {"color_scheme", "string", "warm, cool or neutral"},
    {"color_distribution", "object", "share of each named colour"},
    {"brightness", "number", "0 to 1"},
    {"saturation", "number", "0 to 1"},
    {"phash", "string", "perceptual hash, in hex"},
    {"exif", "object", "what the camera wrote"},
    {"metadata", "object", "what was given with it"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc hit_doc[] = {
    {"id", "string", "of the image"},
    {"score", "number", "cosine plus boosts"},
    {"similarity", "number", "(1 + cosine) / 2"},
    {"distance", "number", "1 - cosine"},
    {"image", "Image", "whole, or the fields asked for"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc found_doc[] = {
    {"results", "[Hit]", "best first"},
    {"matched", "integer", "images that pass the filter"},
    {"plan", "string", "how the index was walked"},
    {"took_ms", "number", "from the first byte of the request"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc one_added_doc[] = {
    {"status", "string", "added, duplicate, replaced or failed"},
    {"id", "string", "of the image"},
    {"image", "Image", "of the image"},
    {"took_ms", "number", "to add it"},
    {"filename", "string", "of a file that failed"},
    {"error", "Fault", "why it failed"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc added_doc[] = {
    {"results", "[OneAdded]", "one for each file, in order"},
    {"added", "integer", "how many"},
    {"duplicates", "integer", "how many"},
    {"failed", "integer", "how many"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc page_doc[] = {
    {"images", "[Image]", "newest first"},
    {"next", "cursor", "the cursor of the next page, null at the end"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc embedding_doc[] = {
    {"model", "string", "its name"},
    {"dim", "integer", "how many numbers"},
    {"vector", "[number]", "of unit length"},
    {"vectors", "[[number]]", "one for each of inputs, when those were asked for"},
    {"took_ms", "number", "from the first byte of the request"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc stats_doc[] = {
    {"images", "integer", "how many"},
    {"vectors", "integer", "how many"},
    {"objects_bytes", "integer", "of stored files"},
    {"data_bytes", "integer", "of everything stored"},
    {"memory_bytes", "integer", "of the index"},
    {"model", "object", "name, version, key, dim, labels"},
    {"index", "object", "kind, state, built"},
    {"categories", "object", "how many images of each"},
    {"color_schemes", "object", "how many images of each"},
    {"version", "string", "of this server"},
    {"uptime_s", "integer", "seconds"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc migration_doc[] = {
    {"model", "string", "the collection's"},
    {"state", "string", "none, unfinished (other is being made) or kept (other is what was)"},
    {"running", "boolean", "whether vectors are being made now"},
    {"other", "string", "the other model, or null"},
    {"images", "integer", "of the collection"},
    {"other_vectors", "integer", "how many of them have one of the other model"},
    {"other_bytes", "integer", "on disk"},
    {"done", "integer", "pictures looked at by the move that runs"},
    {"total", "integer", "of so many"},
    {"last", "object", "what the last move reported, or its error; null: none since the start"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc collection_doc[] = {
    {"name", "string", "images"},
    {"images", "integer", "how many"},
    {"model", "object", "name, version, dim"},
    {"categories", "Categories", "what images are put into when they are added"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc categories_doc[] = {
    {"from", "string", "model, prompts, classifier or none"},
    {"labels", "[string]", "what there is to be"},
    {"settings", "any", "as they were set; null: the model's own"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc collections_doc[] = {
    {"collections", "[Collection]", "all"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc relabeled_doc[] = {
    {"seen", "integer", "images that were looked at"},
    {"changed", "integer", "of them"},
    {"next", "cursor", "for the next request; null at the end"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc patch_doc[] = {
    {"metadata", "object", "merged into the image's metadata (RFC 7396)"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc query_doc[] = {
    {"query", "string", "words to look for"},
    {"filters", "filters", "a filter's text, or an object of equalities"},
    {"top_k", "integer", "how many results, 10 when left out"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc boost_doc[] = {
    {"expr", "string", "a filter, or the name of a true-or-false field"},
    {"add", "number", "what is added to the score where it is true"},
    {NULL, NULL, NULL},
};

static const lk_arg_doc clip_image_doc[] = {
    {"type", "string", "base64; url where the server's option image-urls allows it"},
    {"value", "string", "the picture"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc clip_embed_image_doc[] = {
    {"image", "any", "a ClipImage, or a list of them"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc clip_embed_text_doc[] = {
    {"text", "texts", "words, or a list of texts"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc clip_embeddings_doc[] = {
    {"embeddings", "[[number]]", "one for each item, of unit length"},
    {"model", "string", "the collection's model, which made them"},
    {"time", "number", "seconds"},
    {"inference_id", "string", "of the request"},
    {"frame_id", "any", "null"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc clip_compare_doc[] = {
    {"subject", "any", "a ClipImage or a text"},
    {"subject_type", "string", "image or text; image when left out"},
    {"prompt", "any", "a ClipImage or a text, a list of them, or an object of label and item"},
    {"prompt_type", "string", "image or text; text when left out"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc clip_similarity_doc[] = {
    {"similarity", "any", "cosines: a list, or an object of label and cosine"},
    {"model", "string", "the collection's model"},
    {"time", "number", "seconds"},
    {"inference_id", "string", "of the request"},
    {"frame_id", "any", "null"},
    {"parent_id", "any", "null"},
    {NULL, NULL, NULL},
};

static void pair(lk_jw *w, const char *key, const char *value)
{
    lk_jw_key(w, key);
    lk_jw_strz(w, value);
}

static void write_schema(lk_jw *w, const char *type);

/* The inside of a schema object of that type: "integer", "Image", "[Hit]" … */
static void write_type(lk_jw *w, lk_str type)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", LK_STR_ARG(type));
    if (name[0] == '[') {
        pair(w, "type", "array");
        lk_jw_key(w, "items");
        lk_jw_obj(w);
        write_type(w, (lk_str){type.p + 1, type.n - 2});
        lk_jw_end_obj(w);
    } else if (name[0] >= 'A' && name[0] <= 'Z') {
        char path[96];
        snprintf(path, sizeof path, "#/components/schemas/%s", name);
        pair(w, "$ref", path);
    } else if (strcmp(name, "file") == 0) {
        pair(w, "type", "string");
        pair(w, "format", "binary");
    } else if (strcmp(name, "texts") == 0) {
        lk_jw_key(w, "type");
        lk_jw_raw(w, LK_STR("[\"string\",\"array\"]"));
        lk_jw_key(w, "items");
        write_schema(w, "string");
    } else if (strcmp(name, "cursor") == 0 || strcmp(name, "filters") == 0) {
        lk_jw_key(w, "type");
        lk_jw_arr(w);
        lk_jw_strz(w, "string");
        lk_jw_strz(w, name[0] == 'c' ? "null" : "object");
        lk_jw_end_arr(w);
    } else if (strcmp(name, "any") != 0) {
        pair(w, "type", name);
    }
}

static void write_schema(lk_jw *w, const char *type)
{
    lk_jw_obj(w);
    write_type(w, lk_str_of(type));
    lk_jw_end_obj(w);
}

static void write_object(lk_jw *w, const lk_arg_doc *members)
{
    lk_jw_obj(w);
    pair(w, "type", "object");
    lk_jw_key(w, "properties");
    lk_jw_obj(w);
    for (; members->name; members++) {
        lk_jw_key(w, members->name);
        lk_jw_obj(w);
        write_type(w, lk_str_of(members->type));
        pair(w, "description", members->help);
        lk_jw_end_obj(w);
    }
    lk_jw_end_obj(w);
    lk_jw_end_obj(w);
}

static void write_parameter(lk_jw *w, const char *name, const char *in, const lk_arg_doc *a)
{
    lk_jw_obj(w);
    pair(w, "name", name);
    pair(w, "in", in);
    if (strcmp(in, "path") == 0) {
        lk_jw_key(w, "required");
        lk_jw_bool(w, true);
    }
    if (a)
        pair(w, "description", a->help);
    lk_jw_key(w, "schema");
    write_schema(w, a ? a->type : "string");
    lk_jw_end_obj(w);
}

static void write_parameters(lk_jw *w, const lk_route *r)
{
    char name[64];
    lk_jw_key(w, "parameters");
    lk_jw_arr(w);
    for (const char *p = strchr(r->path, '{'); p; p = strchr(p + 1, '{')) {
        size_t n = strcspn(p + 1, "}");
        n = n < sizeof name ? n : sizeof name - 1;
        memcpy(name, p + 1, n);
        name[n] = '\0';
        write_parameter(w, name, "path", NULL);
    }
    for (const lk_arg_doc *a = r->query; a && a->name; a++)
        write_parameter(w, a->name, "query", a);
    lk_jw_end_arr(w);
}

static void write_body(lk_jw *w, const lk_route *r)
{
    lk_jw_key(w, "requestBody");
    lk_jw_obj(w);
    lk_jw_key(w, "required");
    lk_jw_bool(w, true);
    lk_jw_key(w, "content");
    lk_jw_obj(w);
    if (r->body & LK_BODY_JSON) {
        lk_jw_key(w, "application/json");
        lk_jw_obj(w);
        lk_jw_key(w, "schema");
        write_schema(w, r->json);
        lk_jw_end_obj(w);
    }
    if (r->body & LK_BODY_FORM) {
        lk_jw_key(w, "multipart/form-data");
        lk_jw_obj(w);
        lk_jw_key(w, "schema");
        write_object(w, r->form);
        lk_jw_end_obj(w);
    }
    if (r->body & LK_BODY_IMAGE) {
        lk_jw_key(w, "image/*");
        lk_jw_obj(w);
        lk_jw_end_obj(w);
    }
    lk_jw_end_obj(w);
    lk_jw_end_obj(w);
}

static void write_answer(lk_jw *w, const lk_route *r)
{
    bool file = r->answer && strchr(r->answer, '/');
    lk_jw_obj(w);
    pair(w, "description", r->answer ? "done" : "done, without a body");
    if (r->answer) {
        lk_jw_key(w, "content");
        lk_jw_obj(w);
        lk_jw_key(w, file ? r->answer : "application/json");
        lk_jw_obj(w);
        if (!file) {
            lk_jw_key(w, "schema");
            write_schema(w, r->answer);
        }
        lk_jw_end_obj(w);
        lk_jw_end_obj(w);
    }
    lk_jw_end_obj(w);
}

static const char *method_word(unsigned method)
{
    switch (method) {
    case LK_POST:
        return "post";
    case LK_PATCH:
        return "patch";
    case LK_DELETE:
        return "delete";
    default:
        return "get";
    }
}

static void write_route(lk_jw *w, const lk_route *r)
{
    lk_jw_key(w, method_word(r->method));
    lk_jw_obj(w);
    pair(w, "operationId", r->label);
    pair(w, "summary", r->summary);
    write_parameters(w, r);
    if (r->body)
        write_body(w, r);
    lk_jw_key(w, "responses");
    lk_jw_obj(w);
    lk_jw_key(w, r->answer ? "200" : "204");
    write_answer(w, r);
    lk_jw_key(w, "default");
    lk_jw_raw(w, LK_STR("{\"description\":\"an error\",\"content\":{\"application/json\":{"
                        "\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}}"));
    lk_jw_end_obj(w);
    lk_jw_end_obj(w);
}

static bool path_seen(size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(lk_routes[j].path, lk_routes[i].path) == 0)
            return true;
    return false;
}

static void write_schemas(lk_jw *w)
{
    static const struct {
        const char *name;
        const lk_arg_doc *members;
    } schemas[] = {
        {"Search", lk_search_json_doc},
        {"QueryPart", lk_search_part_doc},
        {"Boost", boost_doc},
        {"Patch", patch_doc},
        {"Collection", collection_doc},
        {"Categories", categories_doc},
        {"Collections", collections_doc},
        {"CollectionPatch", lk_collection_patch_doc},
        {"Relabel", lk_relabel_doc},
        {"Relabeled", relabeled_doc},
        {"Embed", lk_embed_json_doc},
        {"EmbedInput", lk_embed_input_doc},
        {"Query", query_doc},
        {"Error", error_doc},
        {"Fault", fault_doc},
        {"Image", record_doc},
        {"Hit", hit_doc},
        {"Found", found_doc},
        {"OneAdded", one_added_doc},
        {"Added", added_doc},
        {"Page", page_doc},
        {"Embedding", embedding_doc},
        {"Stats", stats_doc},
        {"Migrate", lk_migrate_json_doc},
        {"Migration", migration_doc},
        {"ClipImage", clip_image_doc},
        {"ClipEmbedImage", clip_embed_image_doc},
        {"ClipEmbedText", clip_embed_text_doc},
        {"ClipEmbeddings", clip_embeddings_doc},
        {"ClipCompare", clip_compare_doc},
        {"ClipSimilarity", clip_similarity_doc},
    };
    lk_jw_obj(w);
    for (size_t i = 0; i < LK_ARRAY_LEN(schemas); i++) {
        lk_jw_key(w, schemas[i].name);
        write_object(w, schemas[i].members);
    }
    lk_jw_end_obj(w);
}

lk_code lk_handle_openapi(lk_request *rq, lk_err *err)
{
    lk_jw w;
    lk_reply_json(&rq->reply, 200, &w);
    lk_jw_obj(&w);
    pair(&w, "openapi", "3.1.0");
    lk_jw_key(&w, "info");
    lk_jw_obj(&w);
    pair(&w, "title", "Lookalike");
    pair(&w, "version", LK_VERSION);
    lk_jw_end_obj(&w);
    lk_jw_key(&w, "paths");
    lk_jw_obj(&w);
    for (size_t i = 0; i < lk_n_routes; i++) {
        if (path_seen(i))
            continue;
        lk_jw_key(&w, lk_routes[i].path);
        lk_jw_obj(&w);
        for (size_t j = i; j < lk_n_routes; j++)
            if (strcmp(lk_routes[j].path, lk_routes[i].path) == 0)
                write_route(&w, &lk_routes[j]);
        lk_jw_end_obj(&w);
    }
    lk_jw_end_obj(&w);
    lk_jw_key(&w, "components");
    lk_jw_obj(&w);
    lk_jw_key(&w, "schemas");
    write_schemas(&w);
    lk_jw_end_obj(&w);
    lk_jw_end_obj(&w);
    return lk_reply_json_end(&rq->reply, err);
}
