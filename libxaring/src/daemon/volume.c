/* SPDX-License-Identifier: MIT */
/*
 * Keeps two values. Who may set them is not asked here.
 */
#include "volume.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xaring/log.h>

#include "loop.h"
#include "state-folder.h"
#include "status-page.h"

#define SAVE_MS 1000

#define MUTED " muted"

struct volume {
	struct status_page *page;
	struct loop_source *timer;
	char *file;
	uint32_t linear;
	bool muted;
	bool is_unsaved;
};

static void show(struct volume *v)
{
	status_page_set_volume(v->page, v->linear, v->muted);
}

/* ---- the file ---- */

static int parse(const char *line, uint32_t *linear, bool *muted)
{
	unsigned long value;
	char *end;

	if (line[0] < '0' || line[0] > '9')
		return -EINVAL;
	value = strtoul(line, &end, 10);
	if (value > XARING_VOLUME_UNITY)
		return -EINVAL;
	*muted = strncmp(end, MUTED, strlen(MUTED)) == 0;
	if (*muted)
		end += strlen(MUTED);
	*linear = (uint32_t)value;
	return strcmp(end, "\n") == 0 ? 0 : -EINVAL;
}

static int read_file(struct volume *v)
{
	FILE *file = fopen(v->file, "re");
	uint32_t linear;
	char line[32];
	bool muted;
	int res;

	if (!file)
		return errno == ENOENT ? 0 : -errno;
	res = fgets(line, sizeof(line), file) ? parse(line, &linear, &muted) : -EINVAL;
	fclose(file);
	if (res < 0)
		return res;
	v->linear = linear;
	v->muted = muted;
	return 0;
}

static void load(struct volume *v)
{
	int res = v->file ? read_file(v) : 0;

	if (res < 0)
		xaring_log(XARING_LOG_WARN,
			   "the guest's volume cannot be read from %s (%s): it is 100 %%", v->file,
			   strerror(-res));
}

static void write_line(FILE *file, const void *data)
{
	const struct volume *v = data;

	fprintf(file, "%u%s\n", v->linear, v->muted ? MUTED : "");
}

static void save(void *data)
{
	struct volume *v = data;
	int res;

	if (!v->file || !v->is_unsaved)
		return;
	v->is_unsaved = false;
	res = state_folder_replace(v->file, write_line, v);
	if (res < 0)
		xaring_log(XARING_LOG_WARN,
			   "the guest's volume cannot be written to %s (%s): it holds until the "
			   "next restart",
			   v->file, strerror(-res));
}

/* ---- life ---- */

int volume_set(struct volume *v, const struct xaring_set_volume *set)
{
	uint32_t linear = set->what & XARING_SET_VOLUME ? set->volume : v->linear;
	bool muted = set->what & XARING_SET_MUTED ? set->muted : v->muted;

	if (linear == v->linear && muted == v->muted)
		return 0;
	v->linear = linear;
	v->muted = muted;
	show(v);
	if (!v->is_unsaved)
		loop_arm_timer(v->timer, SAVE_MS);
	v->is_unsaved = true;
	return 1;
}

int volume_open(struct loop *loop, struct status_page *page, const char *file, struct volume **out)
{
	struct volume *v = calloc(1, sizeof(*v));
	int res = -ENOMEM;

	if (!v)
		return res;
	v->page = page;
	v->linear = XARING_VOLUME_UNITY;
	v->file = file ? strdup(file) : NULL;
	if (file && !v->file)
		goto err;
	res = loop_add_timer(loop, save, v, &v->timer);
	if (res < 0)
		goto err;
	load(v);
	show(v);
	*out = v;
	return 0;
err:
	free(v->file);
	free(v);
	return res;
}

void volume_close(struct volume *v)
{
	if (!v)
		return;
	save(v);
	loop_remove(v->timer);
	free(v->file);
	free(v);
}
