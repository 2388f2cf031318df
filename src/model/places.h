/* Where models stand: inside the program, in the models folder, or in a folder given by its path.
 */
#ifndef LK_MODEL_PLACES_H
#define LK_MODEL_PLACES_H

#include <limits.h>
#include <stdbool.h>

#include "model/card.h"
#include "model/model.h"

/* Is it the name of a model inside the program? */
bool lk_model_is_bundled(const char *name);

/* Find a model as lk_model_open does. *ret points into path, name and the program. LK_E_NOT_FOUND.
 */
LK_CHECK lk_code lk_model_locate(const char *name, const char *models_dir, char path[PATH_MAX],
                                 lk_card_source *ret, lk_err *err);

/* What a card says, the key with it. *ret lives as long as the card and the arena. */
LK_CHECK lk_code lk_model_info_of_card(const lk_card *c, lk_arena *into, lk_model_info *ret,
                                       lk_err *err);

#endif
