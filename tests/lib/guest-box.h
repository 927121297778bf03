/* SPDX-License-Identifier: MIT */
/*
 * A guest without Xen: xaring-guestd in a process of its own, that can be killed, with the pages of
 * fake-grants.h and the xenstored of fake-xen.h. The test is its programs, its dom0 and its backend.
 *
 * A function that waits has a deadline, and fails the test when that is over. All assert with cmocka,
 * in the main thread, but for those marked (any).
 */
#ifndef XARING_TESTS_GUEST_BOX_H
#define XARING_TESTS_GUEST_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <xaring/wire.h>

#include <xaring/pages.h>

#include "fake-xen.h"
#include "offer.h"

#define BOX_DEADLINE_MS 5000

struct box {
	struct fake_xen xen;
	char folder[64];
	pid_t guestd;
	uint32_t domid;
	uint32_t pages, user_pages; /* limits of guestd */
	uint32_t device_pages;      /* limit of gntalloc, 0 = there is no device */
	gid_t audio;                /* the number of that group, 0 = there is none */
	uid_t local_uid;            /* has an active local session; 0 = nobody */
};

/*
 * Starts xenstored with a domain 7, and no guestd. Pages: 480, 240 for a user, 1024 of the device; no group audio
 * and nobody at the seat;
 * what is changed counts for guestds that are started afterwards.
 */
struct box *box_start(void);

/* Ends all of it; guestd has to end well. */
void box_stop(struct box *box);

/* Starts guestd, and waits until it is ready. Ends it: by SIGTERM, or SIGKILL. */
void box_begin_guestd(struct box *box);
void box_end_guestd(struct box *box, int signal);

/* Lines of guestd's log so far that contain text. (any) */
unsigned box_lines(const struct box *box, const char *text);
void box_wait_line(const struct box *box, const char *text);

/* Milliseconds of CLOCK_MONOTONIC. (any) */
uint64_t box_now_ms(void);

/* ---- xenstore, as dom0 sees it ---- */

/*
 * Gives fake-xenstored a command (see there), which must succeed, and returns what it said. The text
 * is valid until the next call.
 */
const char *box_store(const struct box *box, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A node of the guest's folder data/xaring; NULL when it is not there. */
const char *box_node(const struct box *box, const char *path);

/* Waits until data/xaring/PATH is (not) there, and returns its text. */
const char *box_wait_node(const struct box *box, const char *path);
void box_wait_no_node(const struct box *box, const char *path);

/* Waits until there are so many streams. */
void box_wait_streams(const struct box *box, unsigned count);

/* Waits until there is one with that epoch, or (0) any; returns its number. Others may wait for their removal. */
uint32_t box_offer(const struct box *box, uint64_t epoch, struct offer *offer);

/* What the guest has asked of xenstored so far. */
unsigned box_operations(const struct box *box);

/* Writes or removes the backend's node. */
void box_set_backend(const struct box *box, uint32_t domid, bool present);

/* The backend's refusal of stream number. */
void box_answer(const struct box *box, uint32_t number, const struct xaring_refusal *refusal);

/* The guest is saved and restored as domain domid, another one. */
void box_restore(struct box *box, uint32_t domid);

/* ---- pages ---- */

/* Maps the pages of an offer as the backend in that domain. Returns as xaring_pages_map(). */
int box_map(const struct box *box, uint32_t domid, const struct offer *offer,
	    struct xaring_pages *pages);

/* How many pages the guest has granted, those included that a backend still maps. */
uint32_t box_granted(const struct box *box);
void box_wait_granted(const struct box *box, uint32_t pages);

/* Takes pages of the device, as another program of that guest. close(2) gives them back. */
int box_take_pages(uint32_t domid, uint32_t data_pages);

/* ---- programs ---- */

/* Connects. Returns a blocking socket, or a negative errno. (any) */
int client_try_connect(const struct box *box);

/* The same without waiting for a place in the kernel's queue: -EAGAIN when it is full. (any) */
int client_rush(const struct box *box);
int client_connect(const struct box *box);

/* A usual OPEN: stereo S16, 48 kHz, buffer 4096. 9 pages: 8 of data (8192 frames), 1 of control. (any) */
void client_usual_open(struct xaring_message *message);

/* (any) */
int client_send(int fd, const struct xaring_message *message);
int client_receive(int fd, struct xaring_message *message);
bool client_is_readable(int fd, int timeout_ms);

/* Connects and asks for a usual stream that goes on with the pages of that epoch. */
int client_open(const struct box *box, uint64_t epoch);

/* Waits for a message of that type, or the end of the connection. Descriptors are closed. */
void client_expect(int fd, enum xaring_message_type type, struct xaring_message *message);
void client_expect_refusal(int fd, enum xaring_reason reason, struct xaring_refusal *refusal);
void client_expect_end(int fd);

void client_kick(int fd, enum xaring_kick kick);

/* Opens a usual stream. Returns the connection. */
int client_play(const struct box *box, struct xaring_accept *accept);

#endif
