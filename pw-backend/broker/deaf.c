/* SPDX-License-Identifier: MIT */
/* A ring of the last ones. */
#include "deaf.h"

#include <string.h>

void deaf_add(struct deaf *deaf, const char key[IPC_VM_NAME_BYTES], uint64_t now_ms)
{
	unsigned i = deaf->next++ % DEAF_MAX;

	memcpy(deaf->items[i].key, key, IPC_VM_NAME_BYTES);
	deaf->items[i].until_ms = now_ms + DEAF_MS;
}

bool deaf_has(const struct deaf *deaf, const char *key, uint64_t now_ms)
{
	for (unsigned i = 0; i < DEAF_MAX; i++) {
		if (now_ms < deaf->items[i].until_ms && strcmp(deaf->items[i].key, key) == 0)
			return true;
	}
	return false;
}
