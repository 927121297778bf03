/* SPDX-License-Identifier: MIT */
/*
 * A broker in a thread of its own, for tests that are its worker and its clients: real sockets on
 * both sides, no process, no PipeWire.
 *
 * A function that waits has a deadline, and fails the test when that is over. Functions are for
 * the test's threads; those marked (main) assert with cmocka and are for the main one only.
 */
#ifndef XARING_TESTS_BROKER_BOX_H
#define XARING_TESTS_BROKER_BOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <xaring/wire.h>

#include "ipc.h"
#include "policy.h"

#define BOX_DEADLINE_MS 20000
#define BOX_VMS_MAX     4
#define BOX_MEMBERS     62000 /* from this user on they are members of the group xaring */

struct box;
struct identity;

/* Starts a broker with VMs "vm1", "vm2", ...; policies[i] is that of the VM i + 1. (main) */
struct box *box_start(const struct policy *policies, unsigned vms);

/* Likewise, and all of them may what a VM may of which nothing is said. (main) */
struct box *box_start_usual(unsigned vms);

/*
 * Starts one whose VMs are the guests of the xenstored that XENSTORED_PATH names. policy, of the
 * broker's thread, says what is allowed; it begins with the usual one. NULL changes nothing. (main)
 */
typedef void (*box_policy_fn)(const struct identity *identity, struct policy *policy);
struct box *box_start_xen(box_policy_fn policy);

/* Connects to the control socket as the user of that number. Returns the connection. (main) */
int box_control(struct box *box, uid_t uid);

/* Who is at the seat from now on, 0 = nobody; connections are looked at anew. (main) */
void box_set_seat(struct box *box, uid_t uid);

/* What is in that file when the next box starts; borrowed. */
void box_next_keeps(const char *text);

/* Where the broker keeps what is decided about microphones. */
const char *box_consent_file(const struct box *box);

/* Another policy for the VM of that number; for box_reload(). (main) */
void box_set_policy(struct box *box, unsigned vm, const struct policy *policy);

/* The rules have changed. Returns when the broker has asked for them anew. (main) */
void box_reload(struct box *box);

/* Ends it, and checks that it has given back every descriptor. (main) */
void box_stop(struct box *box);

/* Waits for the next worker that the broker starts. Returns its end of the socket. (main) */
int box_worker(struct box *box);

/* How many workers were asked for so far. */
unsigned box_workers(struct box *box);

/* The broker cannot start workers while broken. */
void box_break_spawn(struct box *box, bool broken);

/* Has the worker replaced. (main) */
void box_replace_worker(struct box *box);

/* What remote() answers: 0 = a connected socket, or a negative errno. */
void box_set_remote(struct box *box, int error);

/* The broker stands still for so long whenever a worker wants a socket. */
void box_set_stall(struct box *box, int ms);

/* Lines that were logged so far, and those of them that contain text. */
unsigned box_lines(struct box *box, const char *text);

/* Processor time of the broker so far: it stands still as long as the broker sleeps. (main) */
uint64_t box_cpu_ns(struct box *box);

/* ---- a worker ---- */

/* Receives the next message, which must have that type. (main) */
void worker_expect(int fd, uint32_t type, struct ipc_message *message);

/* Checks that no message comes within 100 ms. (main) */
void worker_expect_nothing(int fd);

/* Waits until the broker has hung up: the worker was killed. (main) */
void worker_expect_end(int fd);

/* Sends a message without descriptors. */
void worker_send(int fd, enum ipc_type type, uint32_t vm, uint32_t stream);
void worker_send_state(int fd, const struct ipc_message *stream, uint32_t backend, uint32_t reason);

/* Waits for the next worker, takes the VMs and says READY. Returns its end. (main) */
int box_ready_worker(struct box *box, unsigned vms);

/* A worker in a thread: says READY, answers END with GONE, and counts. Starts one at once. */
struct auto_worker;

/* What it has seen. Largest use: of one VM, as the protocol's shapes have it. */
struct auto_counts {
	uint32_t streams, ends, kicks, starts;
	uint32_t largest_streams[BOX_VMS_MAX + 1]; /* by the number of the VM, from 1 */
	uint32_t largest_pages[BOX_VMS_MAX + 1];
	uint32_t live;
};

struct auto_worker *auto_worker_start(struct box *box);
void auto_worker_counts(struct auto_worker *w, struct auto_counts *counts);
void auto_worker_stop(struct auto_worker *w);

/* ---- a client ---- */

/* Connects to the VM's socket, 1 = the first. Returns a blocking socket or a negative errno. */
int client_try_connect(const struct box *box, unsigned vm);
int client_connect(const struct box *box, unsigned vm); /* (main) */

/* A usual OPEN: stereo S16, 48 kHz, buffer 4096. 9 pages: 8 of data (8192 frames), 1 of control. */
void client_usual_open(struct xaring_message *message);

/* Returns as xaring_wire_send(). */
int client_send_open(int fd, const struct xaring_message *message);

/* Waits for a message. Returns as xaring_wire_receive(), -ETIMEDOUT after the deadline. */
int client_receive(int fd, struct xaring_message *message);

/* Waits for ACCEPT, REFUSE with that reason, or the end of the connection. (main) */
void client_expect_accept(int fd, struct xaring_accept *accept, int fds[XARING_WIRE_FDS]);
void client_expect_refusal(int fd, enum xaring_reason reason, struct xaring_refusal *refusal);
void client_expect_end(int fd);
void client_expect_nothing(int fd);

/* Connects, opens, drops the pages. Returns the connection. (main) */
int client_play(const struct box *box, unsigned vm);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t box_now_ms(void);

#endif
