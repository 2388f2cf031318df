/* The handlers that routes.c names, one file a group. */
#ifndef LK_SERVER_HANDLERS_H
#define LK_SERVER_HANDLERS_H

#include "server/router.h"
#include "server/search_args.h"

/* images.c: many */
lk_handler_fn lk_handle_images_add, lk_handle_images_list;
/* image.c: one */
lk_handler_fn lk_handle_image_get, lk_handle_image_patch, lk_handle_image_delete;
lk_handler_fn lk_handle_image_thumbnail, lk_handle_image_original;
/* search.c */
lk_handler_fn lk_handle_search, lk_handle_similar;
/* embed.c */
lk_handler_fn lk_handle_embed;
/* collections.c */
/* {kind, state, built, asked, M, ef_construction, nlist}. */
void lk_write_index(lk_jw *w, const lk_stats *st);
lk_handler_fn lk_handle_collections, lk_handle_collection, lk_handle_collection_patch;
lk_handler_fn lk_handle_collection_relabel;
/* seeds.c: the routes of older clients, in their JSON */
lk_handler_fn lk_handle_seed_upload, lk_handle_seed_search, lk_handle_seed_query;
/* clip.c: Roboflow's routes, in its JSON */
lk_handler_fn lk_handle_clip_embed_image, lk_handle_clip_embed_text, lk_handle_clip_compare;
/* system.c */
lk_handler_fn lk_handle_health, lk_handle_ready, lk_handle_stats, lk_handle_metrics;
/* migration.c */
lk_handler_fn lk_handle_migration, lk_handle_migration_start, lk_handle_migration_stop;
/* openapi.c */
lk_handler_fn lk_handle_openapi;
/* assets.c */
lk_handler_fn lk_handle_page, lk_handle_asset;

/* The members of what /v1/embed takes, and of one of its inputs. */
extern const lk_arg_doc lk_embed_json_doc[], lk_embed_input_doc[];
/* The members of what POST /v1/migration takes. */
extern const lk_arg_doc lk_migrate_json_doc[];
/* The members of what changes a collection, and of what has its images looked at again. */
extern const lk_arg_doc lk_collection_patch_doc[], lk_relabel_doc[];

/* Add one uploaded picture; the error's status is lk_status_of(code, LK_BLAME_PICTURE). */
LK_CHECK lk_code lk_add_upload(lk_request *rq, const lk_add *add, lk_added *ret, lk_err *err);
/* Milliseconds since the request began. */
double lk_request_ms(const lk_request *rq);

#endif
