/* SPDX-License-Identifier: MIT */
/*
 * Finding and reading configuration files.
 *
 * Thread: one. Blocks: reads files. Logs: no.
 */
#ifndef XARING_BROKER_CONFIG_FILES_H
#define XARING_BROKER_CONFIG_FILES_H

#include "config.h"

#define CONFIG_FILE_BYTES_MAX (1u << 20)

/*
 * Reads NAME of the last folder that has it, and all NAME.d/ *.conf. Folders that do not exist are
 * empty ones.
 *
 * Owner: the caller; config_files_free(), also after an error.
 * Returns 0, with the files in config->texts and config->found (there is a NAME) set, or a negative
 * errno and the path that it is about in error.
 */
int config_files_read(const char *const *folders, unsigned folder_count, const char *name,
		      struct config *config, char error[CONFIG_ERROR_BYTES]);

void config_files_free(struct config *config);

#endif
