/* SPDX-License-Identifier: MIT */
/*
 * What broker and worker say to each other: one socketpair (AF_UNIX, SOCK_SEQPACKET), fixed
 * structures of one build, descriptors by SCM_RIGHTS. Both ends are the same binary, so there is no
 * version; the broker nevertheless takes nothing for granted, since the worker handles what
 * guests write: lengths, ids and states are checked, and a worker that talks nonsense is killed.
 *
 *   broker                          worker
 *   VM (a VM appeared)      ->
 *   STREAM + control, data  ->
 *   KICK, END, VM_END       ->
 *   MICROPHONE              ->      whether the VM may record, when that changes
 *                           <-      READY      once, when the sandbox is closed
 *                           <-      WANT       a connected PipeWire socket for this VM, please
 *   SOCKET [+ socket]       ->                 or an errno
 *                           <-      STATE      whenever something about a stream changed
 *                           <-      GONE       the pages of a stream are unmapped
 */
#ifndef XARING_IPC_H
#define XARING_IPC_H

#include <stdint.h>

#include <xaring/format.h>
#include <xaring/wire.h>

#define IPC_VM_NAME_BYTES 64
#define IPC_UUID_BYTES    40
#define IPC_KIND_BYTES    16
#define IPC_FDS_MAX       2

enum ipc_type {
	IPC_VM = 1,
	IPC_VM_END,
	IPC_STREAM,
	IPC_KICK,
	IPC_END,
	IPC_SOCKET,
	IPC_MICROPHONE,
	IPC_READY,
	IPC_WANT,
	IPC_STATE,
	IPC_GONE
};

struct ipc_message {
	uint32_t type;   /* enum ipc_type */
	uint32_t vm;     /* the broker's number of the VM: never used twice by one broker */
	uint32_t stream; /* likewise, of the stream; 0 = about the VM */
	int32_t error;   /* SOCKET: 0 or a negative errno; -ENXIO = nobody is to hear it */
	union {
		struct {
			/* Who it is, in texts that are cleaned and terminated. */
			char name[IPC_VM_NAME_BYTES];   /* what people see */
			char key[IPC_VM_NAME_BYTES];    /* the identity: [A-Za-z0-9._-] */
			char domain[IPC_VM_NAME_BYTES]; /* dom0's name of the domain; local: key */
			char uuid[IPC_UUID_BYTES];      /* of the domain, or "" */
			char kind[IPC_KIND_BYTES];      /* of domain, or "" */
			int32_t domid;                  /* -1 = local transport */
		} vm;
		struct {
			struct xaring_params params;
			uint32_t features;
			uint64_t control_offset;
			uint64_t data_offset;
			uint64_t time_secret_ns; /* 0 with XARING_FEATURE_SAME_CLOCK */
			uint32_t number; /* of the stream within its VM and direction: 1, 2, ... */
			char name[XARING_NAME_BYTES]; /* cleaned, terminated; may be empty */
		} stream;
		struct {
			uint32_t kick; /* enum xaring_kick */
		} kick;
		struct {
			uint32_t allowed; /* 0 or 1; a VM of which nothing was said may not */
		} microphone;
		struct {
			uint32_t backend; /* enum xaring_backend_state */
			uint32_t reason;  /* enum xaring_reason */
			uint32_t state;   /* enum xaring_state of the guest */
			uint32_t xruns;
			uint32_t gap;
			uint32_t
				latency; /* frames from PipeWire's taking one to its sound, or back */
			uint32_t volume; /* of the guest: XARING_VOLUME_TOLD, or 0 */
		} state;
	} u;
	int fds[IPC_FDS_MAX]; /* -1 when absent; the receiver owns them */
};

/*
 * Sends and receives one message. Blocks: no. Return 0, -EAGAIN, -ENODEV when the other end is
 * gone, -EPROTO for a packet of another size, type or number of descriptors.
 */
int ipc_send(int fd, const struct ipc_message *message);
int ipc_receive(int fd, struct ipc_message *message);

/* An empty message: type, vm, stream, no descriptors. */
void ipc_message_init(struct ipc_message *message, enum ipc_type type, uint32_t vm,
		      uint32_t stream);

/* Closes the descriptors that the message still holds. */
void ipc_message_finish(struct ipc_message *message);

#endif
