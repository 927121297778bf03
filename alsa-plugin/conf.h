/* SPDX-License-Identifier: MIT */
/*
 * The keys of a `type xen` definition in ALSA's configuration.
 */
#ifndef PLUGIN_CONF_H
#define PLUGIN_CONF_H

#include <alsa/asoundlib.h>

#include <xaring/wire.h>

#define CONF_SOCKET_BYTES 108 /* of sun_path, with the terminator */

struct conf {
	char socket[CONF_SOCKET_BYTES];
	char name[XARING_NAME_BYTES + 1]; /* "" = the caller chooses */
};

/*
 * Reads the definition. What is not given keeps its default.
 *
 * error: on failure a sentence with the key, its value and what is accepted
 *
 * Blocks: no. Logs: no. Returns 0 and sets *out, or -EINVAL.
 */
int conf_read(snd_config_t *config, struct conf *out, char *error, size_t error_bytes);

#endif
