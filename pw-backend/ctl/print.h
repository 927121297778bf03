/* SPDX-License-Identifier: MIT */
/*
 * What people are shown of VMs, streams and events: text from the objects of the broker, with the volumes that
 * mixer.h has added.
 *
 * Pure but for the stream that is printed to. Thread: one. Blocks: no. Logs: no.
 */
#ifndef XARINGCTL_PRINT_H
#define XARINGCTL_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include <json-c/json.h>

#define PRINT_CELL_BYTES 80

/* Colour is used on terminals only, and not where the environment has NO_COLOR. */
bool print_has_colour(FILE *to);

void print_json(struct json_object *object, FILE *to);

/* An array of VMs, with their streams. */
void print_list(struct json_object *vms, bool colour, FILE *to);
void print_vm(struct json_object *vm, bool colour, FILE *to);
void print_event(struct json_object *event, bool colour, FILE *to);

/* A field of a VM as people see it. */
void print_volume(struct json_object *vm, char text[PRINT_CELL_BYTES]); /* or of a stream; "-" */
void print_volume_in_guest(struct json_object *vm, char text[PRINT_CELL_BYTES]); /* likewise */
void print_microphone(struct json_object *vm, char text[PRINT_CELL_BYTES]); /* and until when */

#endif
