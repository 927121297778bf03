/* SPDX-License-Identifier: MIT */
/*
 * Which VMs ask for the microphone, and which notification is about which of them.
 *
 * Pure. Thread: one. Blocks: no. Logs: no.
 */
#ifndef XARING_NOTIFY_ASKING_H
#define XARING_NOTIFY_ASKING_H

#include <stdbool.h>
#include <stdint.h>

#define ASKING_MAX           16u /* VMs; a screen full of questions is read by nobody */
#define ASKING_KEY_BYTES     64
#define ASKING_TITLE_BYTES   64
#define ASKING_REQUEST_BYTES 128

enum asking_choice {
	ASKING_ONCE,
	ASKING_UNTIL_SHUTDOWN,
	ASKING_ALWAYS,
	ASKING_NEVER,
	ASKING_CHOICES
};

/* Why a question is there again that was answered. */
enum asking_reason {
	ASKING_NEW, /* it was not */
	ASKING_LOCKED,
	ASKING_INACTIVE, /* another session was at the screen */
	ASKING_UNKNOWN,  /* it could not be found out whether the screen was locked */
	ASKING_FAILED    /* the broker has not done it */
};

enum asking_state {
	ASKING_WAITS, /* is to be shown */
	ASKING_SENT,  /* the notification server was told, and has not answered */
	ASKING_SHOWN,
	ASKING_CLOSED /* by the user, who does not want to be asked */
};

struct asking_vm {
	char key[ASKING_KEY_BYTES];     /* [A-Za-z0-9._-], as requests have it */
	char title[ASKING_TITLE_BYTES]; /* fit to be shown; the key when there is none */
	enum asking_state state;
	uint32_t ticket; /* SENT: by which the server's answer is known */
	uint32_t id;     /* SHOWN: the notification's, not 0 */
	enum asking_reason reason;
	enum asking_choice chosen; /* when there is a reason */
};

/* Zeroed at first. */
struct asking {
	struct asking_vm vms[ASKING_MAX];
	unsigned count;
	uint32_t tickets; /* the last one */
};

/*
 * A VM asks; nothing changes when it did already. Texts are copied, the title cleaned and cut.
 *
 * Returns 0; -EINVAL when that is no key; -ENOSPC when ASKING_MAX ask.
 */
int asking_add(struct asking *asking, const char *key, const char *title);

/* A VM does not ask any more. Returns the notification that is to be closed, or 0. */
uint32_t asking_remove(struct asking *asking, const char *key);

/* One that is to be shown, or NULL. Borrowed, until one is removed. */
struct asking_vm *asking_next(struct asking *asking);

/* It is being shown. Returns the ticket for asking_shown(). */
uint32_t asking_send(struct asking *asking, struct asking_vm *vm);

/*
 * The server has answered; id 0: it does not show it, and it is tried again with the next one. Returns false when
 * the notification is to be closed: its VM has ceased to ask meanwhile, or is shown by another one.
 */
bool asking_shown(struct asking *asking, uint32_t ticket, uint32_t id);

/*
 * Something was chosen in a notification. Returns its VM, which is no longer shown, and sets *choice; NULL when the
 * notification is none of ours, or not there any more, or that is no choice.
 */
struct asking_vm *asking_choose(struct asking *asking, uint32_t id, const char *action,
				enum asking_choice *choice);

/* What was chosen has no effect: the question is to be shown again, with the reason. */
void asking_again(struct asking_vm *vm, enum asking_choice chosen, enum asking_reason reason);

/* The notification is not there any more; those of others do not matter. */
void asking_closed(struct asking *asking, uint32_t id);

/* No notification is there any more, without the user's doing: all that were are to be shown again. */
void asking_lost(struct asking *asking);

/* The name of an action, and the label of its button. */
const char *asking_action(enum asking_choice choice);
const char *asking_label(enum asking_choice choice);

/* The request to the broker, see control.h. */
void asking_request(const struct asking_vm *vm, enum asking_choice choice,
		    char request[ASKING_REQUEST_BYTES]);

#endif
