/* SPDX-License-Identifier: MIT */
/*
 * Hardware parameters: what is offered to the application, what a refusal of the server leaves of it,
 * and what an application's choice means to the server. Channel maps as well.
 *
 * Thread: any. Blocks: no. Logs: no.
 */
#ifndef PLUGIN_HWPARAMS_H
#define PLUGIN_HWPARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>

#include <xaring/format.h>

#define HWPARAMS_PERIOD_BYTES_MIN 64u
#define HWPARAMS_PERIODS_MIN      2u
#define HWPARAMS_PERIODS_MAX      1024u

/* What is offered. Ranges include both ends. */
struct hwparams_limits {
	uint32_t formats; /* 1 << enum xaring_format */
	uint32_t rate_min, rate_max;
	uint32_t channels_min, channels_max;
	uint32_t buffer_bytes_min, buffer_bytes_max;
};

/* Everything that the protocol can carry. */
void hwparams_init(struct hwparams_limits *limits);

/*
 * Takes what the server would accept into account, so that an application which asks again is led
 * there. A range that would leave nothing is ignored.
 *
 * params: of the refused stream. Pages are limited for these only: with another rate or other
 *         frames a buffer of that size may be refused once more.
 *
 * Returns true when the limits changed.
 */
bool hwparams_narrow(struct hwparams_limits *limits, const struct xaring_refusal *refusal,
		     const struct xaring_params *params);

/* The largest buffer that would have been given enough pages; 0 when it was not about them, or none. */
uint32_t hwparams_buffer_left(const struct xaring_refusal *refusal,
			      const struct xaring_params *params);

/* Tells alsa-lib the limits. Returns 0 or a negative errno. */
int hwparams_apply(const struct hwparams_limits *limits, snd_pcm_ioplug_t *io);

/* enum xaring_format of an ALSA format, or 0; and back, or SND_PCM_FORMAT_UNKNOWN. */
uint32_t hwparams_format(snd_pcm_format_t format);
snd_pcm_format_t hwparams_alsa_format(uint32_t format);

/* What the application chose, in the server's terms. Returns 0 or -EINVAL. */
int hwparams_choice(const snd_pcm_ioplug_t *io, struct xaring_params *params);

/*
 * The maps on offer, one for each number of channels, NULL at the end. Owner: the caller;
 * snd_pcm_free_chmaps(). NULL when there is no memory.
 */
snd_pcm_chmap_query_t **hwparams_query_chmaps(void);

/* The map of that many channels. Owner: the caller; free(3). NULL: none, or no memory. */
snd_pcm_chmap_t *hwparams_chmap(uint32_t channels);

/* Returns 0 when map is the one of that many channels, or -EINVAL. */
int hwparams_check_chmap(uint32_t channels, const snd_pcm_chmap_t *map);

#endif
