/* Every address of the server. One line here gives dispatch, body checks, metrics and OpenAPI. */
#include "base/mem.h"
#include "server/handlers.h"

static const lk_arg_doc list_query[] = {
    {"limit", "integer", "how many, 50 when left out"},
    {"cursor", "string", "\"next\" of the page before"},
    {"filter", "string", "only images for which this is true"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc raw_query[] = {
    {"id", "string", "its id; when left out one is made of the picture's bytes"},
    {"filename", "string", "its name"},
    {"metadata", "object", "a JSON object of scalars"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc add_form[] = {
    {"file", "file", "a picture; may be given several times"},
    {"id", "string", "its id, once for each file"},
    {"metadata", "object", "a JSON object of scalars, once for all or once for each file"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc thumb_query[] = {
    {"size", "integer", "long side: 320 or 1024"},
    {"v", "string", "the first 8 or more digits of its sha256: the answer may be kept for ever"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc similar_query[] = {
    {"top_k", "integer", "how many results, 10 when left out"},
    {"filter", "string", "only images for which this is true"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc embed_form[] = {
    {"file", "file", "a picture; may be given several times"},
    {"file_weight", "number", "weight of each picture, 1 when left out"},
    {"text", "string", "words; of several, the mean"},
    {"text_weight", "number", "weight of the words, 1 when left out"},
    {"id", "string", "a stored image"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc upload_form[] = {
    {"file", "file", "a picture"},
    {"metadata", "object", "a JSON object of scalars"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc search_form[] = {
    {"file", "file", "a picture"},
    {"top_k", "integer", "how many results, 10 when left out"},
    {"color_scheme", "string", "warm, cool or neutral"},
    {"category", "string", "one of the collection's labels"},
    {NULL, NULL, NULL},
};
static const lk_arg_doc query_form[] = {
    {"query", "string", "words; or, as a file, a picture"},
    {"file", "file", "a picture"},
    {"filters", "string", "a filter's text, or a JSON object of equalities"},
    {"top_k", "integer", "how many results, 10 when left out"},
    {NULL, NULL, NULL},
};

static const lk_arg_doc clip_query[] = {
    {"api_key", "string", "passed over, as every other argument is"},
    {NULL, NULL, NULL},
};

static const lk_arg_doc migration_query[] = {
    {"vectors", "string", "old or unfinished: remove these; without it, the move that runs stops"},
    {NULL, NULL, NULL},
};

#define FILES (LK_BODY_FORM | LK_BODY_IMAGE)
#define WORDS (LK_BODY_JSON | LK_BODY_FORM)

const lk_route lk_routes[] = {
    {LK_POST, "/v1/search", lk_handle_search, LK_LANE_QUICK, WORDS, false, "search",
     "Find images by words, picture, id, vector, or a weighted mix", NULL, lk_search_form_doc,
     "Search", "Found"},
    {LK_POST, "/v1/images", lk_handle_images_add, LK_LANE_UPLOAD, FILES, false, "images_add",
     "Add one picture or many", raw_query, add_form, NULL, "Added"},
    {LK_GET, "/v1/images", lk_handle_images_list, LK_LANE_QUICK, 0, false, "images_list",
     "List images, newest first", list_query, NULL, NULL, "Page"},
    {LK_GET, "/v1/images/{id}", lk_handle_image_get, LK_LANE_QUICK, 0, false, "image_get",
     "The record of an image", NULL, NULL, NULL, "Image"},
    {LK_PATCH, "/v1/images/{id}", lk_handle_image_patch, LK_LANE_QUICK, LK_BODY_JSON, false,
     "image_patch", "Merge into its metadata; null removes a key", NULL, NULL, "Patch", "Image"},
    {LK_DELETE, "/v1/images/{id}", lk_handle_image_delete, LK_LANE_QUICK, 0, false, "image_delete",
     "Remove an image", NULL, NULL, NULL, NULL},
    {LK_GET, "/v1/images/{id}/thumbnail", lk_handle_image_thumbnail, LK_LANE_QUICK, 0, false,
     "image_thumbnail", "A smaller picture of it", thumb_query, NULL, NULL, "image/*"},
    {LK_GET, "/v1/images/{id}/original", lk_handle_image_original, LK_LANE_QUICK, 0, false,
     "image_original", "The file as it was added", NULL, NULL, NULL, "image/*"},
    {LK_GET, "/v1/images/{id}/similar", lk_handle_similar, LK_LANE_QUICK, 0, false, "image_similar",
     "Images like this one", similar_query, NULL, NULL, "Found"},
    {LK_POST, "/v1/embed", lk_handle_embed, LK_LANE_QUICK, WORDS | LK_BODY_IMAGE, false, "embed",
     "The embedding of words, pictures, stored images, or a weighted mix", NULL, embed_form,
     "Embed", "Embedding"},
    {LK_GET, "/v1/collections", lk_handle_collections, LK_LANE_QUICK, 0, false, "collections",
     "What there is, with model and settings", NULL, NULL, NULL, "Collections"},
    {LK_GET, "/v1/collections/{name}", lk_handle_collection, LK_LANE_QUICK, 0, false, "collection",
     "A collection's model and settings", NULL, NULL, NULL, "Collection"},
    {LK_PATCH, "/v1/collections/{name}", lk_handle_collection_patch, LK_LANE_UPLOAD, LK_BODY_JSON,
     false, "collection_patch", "Choose what images that are added are put into", NULL, NULL,
     "CollectionPatch", "Collection"},
    {LK_POST, "/v1/collections/{name}/relabel", lk_handle_collection_relabel, LK_LANE_UPLOAD,
     LK_BODY_JSON, false, "collection_relabel",
     "Put stored images into the categories of now, some at a time", NULL, NULL, "Relabel",
     "Relabeled"},
    {LK_GET, "/v1/stats", lk_handle_stats, LK_LANE_QUICK, 0, false, "stats",
     "Numbers about the collection", NULL, NULL, NULL, "Stats"},
    {LK_GET, "/v1/migration", lk_handle_migration, LK_LANE_QUICK, 0, false, "migration",
     "How a move to another model stands", NULL, NULL, NULL, "Migration"},
    {LK_POST, "/v1/migration", lk_handle_migration_start, LK_LANE_QUICK, LK_BODY_JSON, false,
     "migration_start", "Move the collection to another model, or back", NULL, NULL, "Migrate",
     "Migration"},
    {LK_DELETE, "/v1/migration", lk_handle_migration_stop, LK_LANE_UPLOAD, 0, false,
     "migration_stop", "Stop a move, or remove the other model's vectors", migration_query, NULL,
     NULL, "Migration"},
    {LK_POST, "/api/upload", lk_handle_seed_upload, LK_LANE_UPLOAD, LK_BODY_FORM, false,
     "api_upload", "Add a picture (older clients)", NULL, upload_form, NULL, "object"},
    {LK_POST, "/api/search", lk_handle_seed_search, LK_LANE_QUICK, LK_BODY_FORM, false,
     "api_search", "Find by picture (older clients)", NULL, search_form, NULL, "object"},
    {LK_POST, "/api/search_with_filters", lk_handle_seed_search, LK_LANE_QUICK, LK_BODY_FORM, false,
     "api_search_with_filters", "Find by picture and filters (older clients)", NULL, search_form,
     NULL, "object"},
    {LK_POST, "/search", lk_handle_seed_query, LK_LANE_QUICK, WORDS, false, "query",
     "Find by words or picture (older clients)", NULL, query_form, "Query", "object"},
    {LK_POST, "/clip/embed_image", lk_handle_clip_embed_image, LK_LANE_QUICK, LK_BODY_JSON, false,
     "clip_embed_image", "Embeddings of pictures (clients of Roboflow's inference)", clip_query,
     NULL, "ClipEmbedImage", "ClipEmbeddings"},
    {LK_POST, "/clip/embed_text", lk_handle_clip_embed_text, LK_LANE_QUICK, LK_BODY_JSON, false,
     "clip_embed_text", "Embeddings of texts (clients of Roboflow's inference)", clip_query, NULL,
     "ClipEmbedText", "ClipEmbeddings"},
    {LK_POST, "/clip/compare", lk_handle_clip_compare, LK_LANE_QUICK, LK_BODY_JSON, false,
     "clip_compare", "Cosines of one thing and several (clients of Roboflow's inference)",
     clip_query, NULL, "ClipCompare", "ClipSimilarity"},
    {LK_GET, "/healthz", lk_handle_health, LK_LANE_INLINE, 0, true, "healthz", "Does it run?", NULL,
     NULL, NULL, "object"},
    {LK_GET, "/readyz", lk_handle_ready, LK_LANE_INLINE, 0, true, "readyz",
     "Should it be sent requests?", NULL, NULL, NULL, "object"},
    {LK_GET, "/metrics", lk_handle_metrics, LK_LANE_QUICK, 0, true, "metrics",
     "Counters, as Prometheus reads them", NULL, NULL, NULL, "text/plain"},
    {LK_GET, "/openapi.json", lk_handle_openapi, LK_LANE_INLINE, 0, false, "openapi",
     "This document", NULL, NULL, NULL, "object"},
    {LK_GET, "/", lk_handle_page, LK_LANE_INLINE, 0, false, "page", "The page", NULL, NULL, NULL,
     "text/html"},
    {LK_GET, "/assets/{name}", lk_handle_asset, LK_LANE_INLINE, 0, false, "asset",
     "A file of the page", NULL, NULL, NULL, "*/*"},
};
const size_t lk_n_routes = LK_ARRAY_LEN(lk_routes);
