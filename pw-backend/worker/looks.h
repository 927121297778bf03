/* SPDX-License-Identifier: MIT */
/*
 * How a VM shows in PipeWire: the properties of its client and of its nodes.
 *
 * What a VM is called, and its identity, come from the broker; xaring.rules of the configuration may
 * add looks, but neither identity nor rights. Nothing here comes from the guest but the name of the
 * application, cleaned by the broker.
 *
 * Thread: main. Blocks: no. Logs: settings that are refused.
 */
#ifndef XARING_LOOKS_H
#define XARING_LOOKS_H

#include <xaring/protocol.h>

struct ipc_message;
struct pw_context;
struct pw_properties;

/* The properties of the client. vm: an IPC_VM. Owner: the caller. Returns NULL without memory. */
struct pw_properties *looks_of_client(struct pw_context *context, const struct ipc_message *vm);

/* The properties of a node. stream: an IPC_STREAM. Owner: the caller. NULL without memory. */
struct pw_properties *looks_of_node(struct pw_context *context, const struct ipc_message *vm,
				    const struct ipc_message *stream);

#endif
