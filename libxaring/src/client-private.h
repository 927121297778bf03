/* SPDX-License-Identifier: MIT */
/*
 * What the files of the client share: client.c (calls of the frontend), client-link.c (socket,
 * pages, reconnecting), client-follow.c (attach and records), client-fork.c (which process uses
 * the stream), client-sleep.c (whether the machine was saved),
 * client-volume.c (the guest's own volume).
 */
#ifndef XARING_CLIENT_PRIVATE_H
#define XARING_CLIENT_PRIVATE_H

#include <xaring/client.h>
#include <xaring/clock.h>
#include <xaring/gain.h>
#include <xaring/pages.h>
#include <xaring/record.h>
#include <xaring/ring.h>
#include <xaring/wire.h>

#define CLIENT_FEATURES   XARING_FEATURE_SAME_CLOCK
#define CLIENT_PATH_BYTES 108

/* Updates in a row of an attached stream that do not look at the socket. */
#define CLIENT_LOOKS_MAX 16u

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* A time that is never, or (of the link) not known before the next xaring_client_update(). */
#define NEVER UINT64_MAX

enum client_link {
	LINK_NONE,  /* no connection; pages of the last one may be kept */
	LINK_ASKED, /* OPEN is sent; likewise */
	LINK_UP     /* the server's pages are in use */
};

/* Which of the processes that have a copy of the stream since fork(2) uses it. */
struct client_fork {
	uint32_t *shared;     /* [0] number of the user, [1] numbers given out; of all processes */
	uint32_t *self;       /* this process's number, zeroed by the kernel in a child */
	uint32_t descriptors; /* number of the process that made epoll and timer */
};

/* The distance of the clock that counts sleep from the one that does not. */
struct client_sleep {
	int64_t most_ns; /* at most so much, as long as the machine has not slept */
};

struct xaring_client {
	char path[CLIENT_PATH_BYTES];
	char name[XARING_NAME_BYTES];
	int epoll_fd;
	int timer_fd;
	uint64_t armed_ns;
	struct client_fork fork;

	/* Shape: fixed from setup to release. */
	bool shaped;
	struct xaring_params params;
	struct xaring_shape shape;

	/* Pages. control and ring point into one of the two. */
	struct xaring_pages linked; /* the server's, linked or kept; unmapped while in the void */
	struct xaring_pages none;   /* private ones, for the void; mapped all the time */
	struct xaring_status_page *status;
	struct xaring_control_page *control;
	struct xaring_ring ring;

	/* Link. */
	enum client_link link;
	int socket_fd;
	uint64_t
		next_ns; /* NONE: the next try; ASKED: when to give up; NEVER: from next_in_ms on */
	uint32_t next_in_ms;
	uint32_t retry_ms;   /* the last distance between tries */
	uint32_t broken_ms;  /* the last distance after a broken link */
	uint64_t up_ns;      /* when it came up */
	uint64_t kept_ns;    /* kept pages: when the backend was last known to use them; NEVER */
	uint64_t heard_ns;   /* when the socket was last looked at */
	uint64_t relinks_ns; /* since when relinks are counted */
	uint32_t relinks;
	uint64_t epoch;
	uint32_t looks; /* updates since something was published, or the socket looked at */
	bool refused;
	struct xaring_refusal refusal;

	/* Stream. */
	enum xaring_state state;
	enum xaring_state resumes_as; /* PAUSED: what it was before */
	uint32_t generation;
	uint32_t word;      /* as last stored */
	uint32_t published; /* written or read */
	uint32_t delivered; /* capture: up to here the ring has what was recorded, or silence */
	uint32_t attach;    /* of the backend, as last answered; 0 = none on this link */
	uint32_t seq;
	uint32_t xruns;      /* since start */
	uint32_t xruns_last; /* of the newest record of this attach */
	bool xruns_known;
	uint32_t age_ns;    /* of the newest record: how long after its time it is there, bounded */
	bool drained;       /* a record says so */
	uint32_t failed;    /* answers in a row that no progress followed */
	uint64_t answer_ns; /* no answer before */
	uint64_t wait_ns;   /* when the position began to wait */
	struct xaring_position position;
	struct xaring_clock clock;
	uint32_t stamp_secret;
	bool is_volume_known; /* a server has said it */
	uint32_t volume;      /* effective, as it was last */
	bool has_gain;        /* something was written since the stream was stopped */
	struct xaring_gain gain;
	uint32_t told_volume; /* as last stored; 0 = in these pages not yet */
	struct client_sleep sleep;
};

/* client-fork.c */
int client_fork_init(struct client_fork *f);
void client_fork_finish(struct client_fork *f);
bool client_is_user(const struct xaring_client *c);
void client_claim(struct xaring_client *c); /* this process uses the stream from here on */
int client_descriptors_create(struct xaring_client *c);

/* client-link.c. During a setup the caller's time is not known: now_ns is NEVER. */
int client_link_open(struct xaring_client *c); /* 0, -EAGAIN: many are waiting, or another error */
void client_link_receive(struct xaring_client *c, uint64_t now_ns);
void client_link_step(struct xaring_client *c, uint64_t now_ns);
void client_link_broken(struct xaring_client *c, uint64_t now_ns);
void client_link_close(struct xaring_client *c);
void client_link_kick(struct xaring_client *c, enum xaring_kick kick);
void client_use_pages(struct xaring_client *c, const struct xaring_pages *pages, uint64_t now_ns);

/* client-volume.c: real-time safe. */
void client_volume_tell(struct xaring_client *c); /* to the backend */
/* Frames that were written before any server had said how loud go to one that does. */
void client_volume_carry(struct xaring_client *c, uint32_t index, void *frames, uint32_t count);
void client_volume_write(struct xaring_client *c, uint32_t index, const void *from,
			 uint32_t frames);

/* client-sleep.c: real-time safe. */
void client_sleep_init(struct client_sleep *s);
bool client_has_slept(struct client_sleep *s); /* since the last call */

/* client-follow.c */
bool client_is_moving(const struct xaring_client *c); /* RUNNING or DRAINING */
bool client_has_backend(const struct xaring_client *c);
/* Capture: the backend says that nothing will come. */
bool client_hears_nothing(const struct xaring_client *c);
void client_store_word(struct xaring_client *c, uint32_t attach);
void client_begin_wait(struct xaring_client *c, uint64_t now_ns, uint64_t longest_ns);
int client_take_record(struct xaring_client *c, uint64_t now_ns);
void client_distrust(struct xaring_client *c, uint32_t index); /* what was not read before it */
void client_answer_attach(struct xaring_client *c, uint64_t now_ns);
void client_withdraw(struct xaring_client *c, uint64_t now_ns);

#endif
