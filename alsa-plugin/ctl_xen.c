/* SPDX-License-Identifier: MIT */
/*
 * The ALSA control device `xen`: one element, Capture Switch, which is on when what a program records
 * now is a microphone. It cannot be set: that is the backend's.
 *
 * Nothing is held and nothing is sent while nobody reads the element, and so there are no events: the
 * backend has no way to say that something has changed to somebody who does not record, and to ask
 * over and over would be a wake-up for each mixer that is open.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <alsa/asoundlib.h>
#include <alsa/control_external.h>

#include "conf.h"
#include "microphone.h"

#define ELEMENT "Capture Switch"
#define KEY     0

/* A mixer reads one element several times in a row; streams may be opened twice in a second. */
#define KEPT_MS 1000

struct ctl_xen {
	snd_ctl_ext_t ext;
	struct conf conf;
	bool is_known;
	bool allowed; /* at asked_ms */
	uint64_t asked_ms;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_close(snd_ctl_ext_t *ext)
{
	free(ext->private_data);
}

static int on_elem_count(snd_ctl_ext_t *ext)
{
	(void)ext;
	return 1;
}

static int on_elem_list(snd_ctl_ext_t *ext, unsigned int offset, snd_ctl_elem_id_t *id)
{
	(void)ext;
	if (offset > 0)
		return -EINVAL;
	snd_ctl_elem_id_set_interface(id, SND_CTL_ELEM_IFACE_MIXER);
	snd_ctl_elem_id_set_name(id, ELEMENT);
	return 0;
}

static snd_ctl_ext_key_t on_find_elem(snd_ctl_ext_t *ext, const snd_ctl_elem_id_t *id)
{
	(void)ext;
	if (snd_ctl_elem_id_get_numid(id) == 1)
		return KEY;
	if (strcmp(snd_ctl_elem_id_get_name(id), ELEMENT) != 0 ||
	    snd_ctl_elem_id_get_index(id) != 0)
		return SND_CTL_EXT_KEY_NOT_FOUND;
	return KEY;
}

static int on_get_attribute(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, int *type,
			    unsigned int *access, unsigned int *count)
{
	(void)ext;
	(void)key;
	*type = SND_CTL_ELEM_TYPE_BOOLEAN;
	*access = SND_CTL_EXT_ACCESS_READ;
	*count = 1;
	return 0;
}

static int on_read_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
	struct ctl_xen *c = ext->private_data;

	(void)key;
	if (!c->is_known || now_ms() - c->asked_ms >= KEPT_MS) {
		c->allowed = microphone_is_allowed(c->conf.socket, c->conf.name);
		c->is_known = true;
		c->asked_ms = now_ms();
	}
	*value = c->allowed;
	return 0;
}

static int on_write_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
	(void)ext;
	(void)key;
	(void)value;
	return -EPERM;
}

static int on_read_event(snd_ctl_ext_t *ext, snd_ctl_elem_id_t *id, unsigned int *mask)
{
	(void)ext;
	(void)id;
	(void)mask;
	return -EAGAIN;
}

static const snd_ctl_ext_callback_t callbacks = {
	.close = on_close,
	.elem_count = on_elem_count,
	.elem_list = on_elem_list,
	.find_elem = on_find_elem,
	.get_attribute = on_get_attribute,
	.read_integer = on_read_integer,
	.write_integer = on_write_integer,
	.read_event = on_read_event,
};

/* It is no card of the kernel's, so it has none of their numbers. */
static void describe(struct ctl_xen *c)
{
	c->ext = (snd_ctl_ext_t){
		.version = SND_CTL_EXT_VERSION,
		.card_idx = -1,
		.id = "xen",
		.driver = "xaring",
		.name = "Sound of the host",
		.longname = "Sound of the host, by xaring",
		.mixername = "Microphone of the host",
		.poll_fd = -1,
		.callback = &callbacks,
		.private_data = c,
	};
	if (c->conf.name[0] == '\0')
		snprintf(c->conf.name, sizeof(c->conf.name), "%s", program_invocation_short_name);
}

/* The two names that alsa-lib looks up; everything else is hidden. */
#pragma GCC visibility push(default)

SND_CTL_PLUGIN_DEFINE_FUNC(xen);

SND_CTL_PLUGIN_DEFINE_FUNC(xen)
{
	struct ctl_xen *c = calloc(1, sizeof(*c));
	char error[200];
	int res;

	(void)root;
	if (!c)
		return -ENOMEM;
	res = conf_read(conf, &c->conf, error, sizeof(error));
	if (res < 0) {
		SNDERR("xen: %s", error);
		free(c);
		return res;
	}
	describe(c);
	res = snd_ctl_ext_create(&c->ext, name, mode);
	if (res < 0) {
		free(c);
		return res;
	}
	*handlep = c->ext.handle;
	return 0;
}

SND_CTL_PLUGIN_SYMBOL(xen);

#pragma GCC visibility pop
