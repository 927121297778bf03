/* SPDX-License-Identifier: MIT */
/*
 * The ALSA control device `xen`: Master, volume and switch, of this guest, which its programs apply to what they play;
 * and Capture Switch, which is on when what a program records now is a microphone. That cannot be set: it is the
 * backend's.
 *
 * Nothing of Capture is held and nothing is sent while nobody reads it, and so it has no events: the backend has no
 * way to say that something has changed to somebody who does not record, and to ask over and over would be a wake-up
 * for each mixer that is open.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <alsa/asoundlib.h>
#include <alsa/control_external.h>

#include "conf.h"
#include "loudness.h"
#include "microphone.h"
#include "mixer-link.h"
#include "now.h"

/* The keys of the elements; their numbers are one higher. */
enum element { VOLUME, SWITCH, CAPTURE, ELEMENTS };

static const struct {
	const char *name;
	int type;
	unsigned int access;
} elements[ELEMENTS] = {
	[VOLUME] = {"Master Playback Volume", SND_CTL_ELEM_TYPE_INTEGER,
		    SND_CTL_EXT_ACCESS_READWRITE | SND_CTL_EXT_ACCESS_TLV_READ},
	[SWITCH] = {"Master Playback Switch", SND_CTL_ELEM_TYPE_BOOLEAN,
		    SND_CTL_EXT_ACCESS_READWRITE},
	[CAPTURE] = {"Capture Switch", SND_CTL_ELEM_TYPE_BOOLEAN, SND_CTL_EXT_ACCESS_READ},
};

/* A mixer reads one element several times in a row; streams may be opened twice in a second. */
#define KEPT_MS 1000

struct ctl_xen {
	snd_ctl_ext_t ext;
	struct conf conf;
	struct mixer_link *link;
	unsigned int pending; /* events: a bit for each element */
	int explained;        /* why the volume was not set the last time, or 0 */
	unsigned int tlv[LOUDNESS_TLV_WORDS];

	/* Capture */
	bool is_known;
	bool allowed; /* at asked_ms */
	uint64_t asked_ms;
};

static struct ctl_xen *ctl_of(const snd_ctl_ext_t *ext)
{
	return ext->private_data;
}

static void destroy(struct ctl_xen *c)
{
	mixer_link_close(c->link);
	free(c);
}

static void on_close(snd_ctl_ext_t *ext)
{
	destroy(ctl_of(ext));
}

/* ---- elements ---- */

static int on_elem_count(snd_ctl_ext_t *ext)
{
	(void)ext;
	return ELEMENTS;
}

static int on_elem_list(snd_ctl_ext_t *ext, unsigned int offset, snd_ctl_elem_id_t *id)
{
	(void)ext;
	if (offset >= ELEMENTS)
		return -EINVAL;
	snd_ctl_elem_id_set_interface(id, SND_CTL_ELEM_IFACE_MIXER);
	snd_ctl_elem_id_set_name(id, elements[offset].name);
	return 0;
}

static snd_ctl_ext_key_t on_find_elem(snd_ctl_ext_t *ext, const snd_ctl_elem_id_t *id)
{
	unsigned int number = snd_ctl_elem_id_get_numid(id);

	(void)ext;
	if (number > 0 && number <= ELEMENTS)
		return number - 1;
	if (snd_ctl_elem_id_get_index(id) != 0)
		return SND_CTL_EXT_KEY_NOT_FOUND;
	for (snd_ctl_ext_key_t key = 0; key < ELEMENTS; key++) {
		if (strcmp(snd_ctl_elem_id_get_name(id), elements[key].name) == 0)
			return key;
	}
	return SND_CTL_EXT_KEY_NOT_FOUND;
}

/* alsa-lib asks for the decibels right after this, of the same element. */
static int on_get_attribute(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, int *type,
			    unsigned int *access, unsigned int *count)
{
	ext->tlv.p = key == VOLUME ? ctl_of(ext)->tlv : NULL;
	*type = elements[key].type;
	*access = elements[key].access;
	*count = 1;
	return 0;
}

static int on_get_integer_info(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *least, long *most,
			       long *step)
{
	(void)ext;
	*least = 0;
	*most = key == VOLUME ? LOUDNESS_MAX : 1;
	*step = 0;
	return 0;
}

/* ---- values ---- */

static bool may_record(struct ctl_xen *c)
{
	if (!c->is_known || clock_now_ms() - c->asked_ms >= KEPT_MS) {
		c->allowed = microphone_is_allowed(c->conf.socket, c->conf.name);
		c->is_known = true;
		c->asked_ms = clock_now_ms();
	}
	return c->allowed;
}

static long value_of(snd_ctl_ext_key_t key, const struct xaring_volume *volume)
{
	return key == VOLUME ? loudness_step(volume->linear) : !volume->muted;
}

static int on_read_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
	struct ctl_xen *c = ctl_of(ext);
	struct xaring_volume volume;

	if (key == CAPTURE) {
		*value = may_record(c);
		return 0;
	}
	(void)mixer_link_get(c->link, &volume);
	*value = value_of(key, &volume);
	return 0;
}

static const char *reason_of(int res)
{
	switch (res) {
	case -EPERM:
		return "members of the group audio may, root, and who has an active local session";
	case -EBUSY:
		return "this user has too many mixers open";
	case -ETIMEDOUT:
		return "who keeps it does not answer";
	default:
		return "nobody keeps it: xaring-guestd does not run, or xaring-pw, outside of Xen";
	}
}

/* Once in a row: it may be written over the screen of a mixer whose key is held down. */
static int explain(struct ctl_xen *c, int res)
{
	if (res < 0 && res != c->explained)
		SNDERR("xen: the volume is not set: %s (%s)", reason_of(res), strerror(-res));
	c->explained = res < 0 ? res : 0;
	return res;
}

static struct xaring_volume volume_of(snd_ctl_ext_key_t key, long value)
{
	return (struct xaring_volume){.linear = key == VOLUME ? loudness_linear(value) : 0,
				      .muted = key == SWITCH && value == 0};
}

/*
 * What was read before is kept where it is not set: two programs may turn one of them each. Where nobody has ever said
 * it, what was shown was a guess, and what is to be set may be a step from there.
 */
static int on_write_integer(snd_ctl_ext_t *ext, snd_ctl_ext_key_t key, long *value)
{
	struct ctl_xen *c = ctl_of(ext);
	struct xaring_volume volume;
	bool is_linked;
	int res;

	if (key == CAPTURE)
		return -EPERM;
	if (*value < 0 || *value > (key == VOLUME ? LOUDNESS_MAX : 1))
		return -EINVAL;
	is_linked = mixer_link_get(c->link, &volume);
	if (!mixer_link_knows(c->link))
		return explain(c, mixer_link_error(c->link));
	if (is_linked && *value == value_of(key, &volume))
		return 0;
	volume = volume_of(key, *value);
	res = mixer_link_set(c->link, key == VOLUME ? XARING_SET_VOLUME : XARING_SET_MUTED,
			     &volume);
	return explain(c, res) < 0 ? res : 1;
}

/* ---- events ---- */

static void on_subscribe_events(snd_ctl_ext_t *ext, int subscribe)
{
	struct ctl_xen *c = ctl_of(ext);

	c->pending = 0;
	mixer_link_watch(c->link, subscribe != 0);
}

static int on_read_event(snd_ctl_ext_t *ext, snd_ctl_elem_id_t *id, unsigned int *mask)
{
	struct ctl_xen *c = ctl_of(ext);
	unsigned int key;

	/* Also when nobody wants it: what lies there would be ready for ever. */
	if (mixer_link_look(c->link))
		c->pending = 1 << VOLUME | 1 << SWITCH;
	if (c->pending == 0 || !ext->subscribed)
		return -EAGAIN;
	key = c->pending & 1 << VOLUME ? VOLUME : SWITCH;
	c->pending &= ~(1u << key);
	snd_ctl_elem_id_set_numid(id, key + 1);
	on_elem_list(ext, key, id);
	*mask = SND_CTL_EVENT_MASK_VALUE;
	return 1;
}

static const snd_ctl_ext_callback_t callbacks = {
	.close = on_close,
	.elem_count = on_elem_count,
	.elem_list = on_elem_list,
	.find_elem = on_find_elem,
	.get_attribute = on_get_attribute,
	.get_integer_info = on_get_integer_info,
	.read_integer = on_read_integer,
	.write_integer = on_write_integer,
	.subscribe_events = on_subscribe_events,
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
		.mixername = "Sound of the host",
		.poll_fd = mixer_link_fd(c->link),
		.callback = &callbacks,
		.private_data = c,
	};
	loudness_tlv(c->tlv);
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
	if (res < 0)
		SNDERR("xen: %s", error);
	if (res == 0)
		res = mixer_link_create(c->conf.socket, &c->link);
	if (res == 0) {
		describe(c);
		res = snd_ctl_ext_create(&c->ext, name, mode);
	}
	if (res < 0) {
		destroy(c);
		return res;
	}
	*handlep = c->ext.handle;
	return 0;
}

SND_CTL_PLUGIN_SYMBOL(xen);

#pragma GCC visibility pop
