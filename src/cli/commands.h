/* The commands. Each stands in the file of its name, but for small ones that belong together: get,
 * list and rm in records.c; init, info, verify, index and demo in folder.c; man and completions in
 * man.c. */
#ifndef LK_CLI_COMMANDS_H
#define LK_CLI_COMMANDS_H

#include "cli/cli.h"

extern const cli_command cmd_init, cmd_add, cmd_search, cmd_similar, cmd_embed, cmd_get, cmd_list,
    cmd_rm, cmd_categories, cmd_info, cmd_verify, cmd_serve, cmd_index, cmd_model, cmd_demo,
    cmd_completions, cmd_man;

#endif
