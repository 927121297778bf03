/* SPDX-License-Identifier: MIT */
/*
 * The broker's part of xaring-pw.conf: which VMs listen where, and what they may do.
 *
 * Thread: one. Blocks: reads files, looks up names of users. Logs: no.
 */
#ifndef XARING_BROKER_CONFIG_H
#define XARING_BROKER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "policy.h"

struct identity;

#define CONFIG_KEY_MAX     63
#define CONFIG_ERROR_BYTES 512

struct config_vm {
	char *key;
	char *title;  /* as given, or the key */
	char *socket; /* absolute, or NULL: the usual place */
};

struct config_text {
	char *file;
	char *text;
	size_t bytes;
	const char *rules; /* its array of rules, in text; or NULL */
	size_t rules_bytes;
};

struct config {
	bool found; /* there is an xaring-pw.conf */
	struct config_vm *vms;
	unsigned vm_count;
	char *pipewire_socket; /* absolute, or NULL */
	char *audio_user;      /* auto, the name of a user, or NULL */

	/* Whole files, in the order in which their rules apply. */
	struct config_text *texts;
	unsigned text_count;
};

/*
 * Reads xaring-pw.conf of the last of the folders that has it, then all xaring-pw.conf.d/ *.conf,
 * folder by folder, in the order of their names. Looks nowhere else: neither at the environment
 * nor into anybody's home.
 *
 * Returns 0 and sets *out. Returns -EINVAL and a message in error when something is not accepted
 * (file, line, key, value, what is accepted), or another negative errno, likewise.
 */
int config_load(const char *const *folders, unsigned count, struct config **out,
		char error[CONFIG_ERROR_BYTES]);

/* Accepts NULL. */
void config_destroy(struct config *config);

#define CONFIG_KEY_ACCEPTED "1 to 63 of A-Z, a-z, 0-9, \".\", \"_\" and \"-\" are accepted"

/* Tells whether a text can be a VM's name: CONFIG_KEY_ACCEPTED, but for "." and "..". */
bool config_key_is_valid(const char *key);

/* Adds a VM. Returns 0, -EEXIST when the key is taken, -ENOMEM. title and socket may be NULL. */
int config_add_vm(struct config *config, const char *key, const char *title, const char *socket);

/* What the rules say about a VM. */
void config_policy(const struct config *config, const struct identity *identity,
		   struct policy *policy);

#endif
