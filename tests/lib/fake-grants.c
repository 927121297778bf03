/* SPDX-License-Identifier: MIT */
/*
 * The table of grants at the beginning of the memfd, and what the devices do with it. Every operation
 * opens the memfd anew and holds a lock of that open file, so it works across processes and forks.
 */
#include "fake-grants.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>

#define GNTALLOC    "/dev/xen/gntalloc"
#define GNTDEV      "/dev/xen/gntdev"
#define PAGE_BYTES  4096u
#define PAGES       8192u /* the first of them are the table */
#define MOVED_MAX   32u
#define LIMIT       1024u
#define CANNOT_MAP  0x7ffffffffffff000u
#define DOMID_OF(x) ((x) ? (uint32_t)strtoul((x), NULL, 10) : 0)

/* Where in the file there are locks: beyond all pages. */
#define LOCK_TABLE  (INT64_C(1) << 40)
#define LOCK_HELD   (INT64_C(2) << 40) /* + page: by a file of gntalloc */
#define LOCK_MAPPED (INT64_C(3) << 40) /* + page: by a file of gntdev */

enum page_state {
	PAGE_FREE,
	PAGE_GRANTED,
	PAGE_ENDED /* given up by who granted it, and still mapped */
};

struct notify {
	bool set;
	uint16_t at;
};

struct page {
	uint8_t state; /* enum page_state */
	bool writable, revoked;
	bool mapped;  /* was referenced; of the first of a run */
	uint32_t run; /* pages that were made together; of the first of them, otherwise 0 */
	uint32_t owner, to;
	struct notify guest, backend;
};

struct table {
	bool exhausted;
	uint32_t moved_count;
	struct {
		uint32_t old, new;
	} moved[MOVED_MAX];
	struct page pages[PAGES];
};

#define FIRST_PAGE ((uint32_t)(sizeof(struct table) + PAGE_BYTES - 1) / PAGE_BYTES)

/* One operation on the table, under its lock. */
struct session {
	int fd;
	struct table *table;
};

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	abort();
}

static int lock(int fd, int command, short type, int64_t at, uint32_t count, short *found)
{
	struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = count};
	int res = fcntl(fd, command, &range);

	if (found)
		*found = range.l_type;
	return res;
}

/* Returns false where the memfd cannot be opened: in a sandbox. */
static bool try_begin(struct session *s)
{
	const char *path = getenv("FAKE_GRANTS");

	must(path != NULL, "FAKE_GRANTS is not set");
	s->fd = open(path, O_RDWR | O_CLOEXEC);
	if (s->fd < 0)
		return false;
	must(lock(s->fd, F_OFD_SETLKW, F_WRLCK, LOCK_TABLE, 1, NULL) == 0, "F_OFD_SETLKW");
	s->table = mmap(NULL, sizeof(*s->table), PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	must(s->table != MAP_FAILED, "mmap");
	return true;
}

static struct session begin(void)
{
	struct session s;

	must(try_begin(&s), getenv("FAKE_GRANTS"));
	return s;
}

static void end(struct session *s)
{
	munmap(s->table, sizeof(*s->table));
	close(s->fd);
}

static bool is_held(const struct session *s, int64_t locks, uint32_t page, uint32_t count)
{
	short found;

	must(lock(s->fd, F_OFD_GETLK, F_WRLCK, locks + page, count, &found) == 0, "F_OFD_GETLK");
	return found != F_UNLCK;
}

static uint32_t own_domid(const struct session *s)
{
	uint32_t domid = DOMID_OF(getenv("FAKE_DOMID"));

	for (uint32_t i = 0; i < s->table->moved_count; i++) {
		if (s->table->moved[i].old == domid)
			domid = s->table->moved[i].new;
	}
	return domid;
}

/* ---- what the kernel does ---- */

static void clear_byte(const struct session *s, uint32_t page, struct notify *notify)
{
	if (notify->set)
		must(pwrite(s->fd, "", 1, (off_t)page * PAGE_BYTES + notify->at) == 1, "pwrite");
	notify->set = false;
}

static void reap_run(const struct session *s, uint32_t first)
{
	struct page *pages = s->table->pages;
	uint32_t run = pages[first].run;
	bool held = is_held(s, LOCK_HELD, first, run);
	bool mapped = is_held(s, LOCK_MAPPED, first, run);

	for (uint32_t i = first; i < first + run; i++) {
		if (!held && pages[i].state == PAGE_GRANTED) {
			clear_byte(s, i, &pages[i].guest);
			pages[i].state = PAGE_ENDED;
		}
		if (!mapped && pages[first].mapped)
			clear_byte(s, i, &pages[i].backend);
	}
	pages[first].mapped = mapped;
	if (!held && !mapped)
		memset(&pages[first], 0, run * sizeof(pages[0]));
}

static void reap(const struct session *s)
{
	for (uint32_t i = FIRST_PAGE; i < PAGES; i++) {
		if (s->table->pages[i].run > 0)
			reap_run(s, i);
	}
}

void fake_grants_reap(void)
{
	struct session s = begin();

	reap(&s);
	end(&s);
}

/* ---- gntalloc ---- */

static uint32_t granted_by(const struct session *s, uint32_t domid)
{
	uint32_t count = 0;

	for (uint32_t i = FIRST_PAGE; i < PAGES; i++)
		count += s->table->pages[i].state != PAGE_FREE && s->table->pages[i].owner == domid;
	return count;
}

static uint32_t find_free(const struct session *s, uint32_t count)
{
	uint32_t run = 0;

	for (uint32_t i = FIRST_PAGE; i < PAGES; i++) {
		run = s->table->pages[i].state == PAGE_FREE ? run + 1 : 0;
		if (run == count)
			return i + 1 - count;
	}
	return 0;
}

static void grant(const struct session *s, int fd, uint32_t first,
		  struct ioctl_gntalloc_alloc_gref *op)
{
	uint32_t owner = own_domid(s);

	must(fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first * PAGE_BYTES,
		       (off_t)op->count * PAGE_BYTES) == 0,
	     "fallocate");
	for (uint32_t i = 0; i < op->count; i++) {
		uint32_t reference = first + i;

		s->table->pages[first + i] =
			(struct page){.state = PAGE_GRANTED,
				      .writable = op->flags & GNTALLOC_FLAG_WRITABLE,
				      .owner = owner,
				      .to = op->domid};
		memcpy((char *)op + offsetof(struct ioctl_gntalloc_alloc_gref, gref_ids) +
			       i * sizeof(reference),
		       &reference, sizeof(reference));
	}
	s->table->pages[first].run = op->count;
	op->index = (uint64_t)first * PAGE_BYTES;
	must(lock(fd, F_OFD_SETLK, F_WRLCK, LOCK_HELD + first, op->count, NULL) == 0,
	     "F_OFD_SETLK");
}

static int do_alloc(const struct session *s, int fd, struct ioctl_gntalloc_alloc_gref *op)
{
	const char *text = getenv("FAKE_GRANTS_LIMIT");
	uint32_t limit = text ? (uint32_t)strtoul(text, NULL, 10) : LIMIT;
	uint32_t first;

	reap(s);
	if (granted_by(s, own_domid(s)) + op->count > limit)
		return -ENOSPC;
	first = op->count > 0 ? find_free(s, op->count) : 0;
	if (first == 0)
		return -ENOMEM;
	grant(s, fd, first, op);
	return 0;
}

static int do_dealloc(const struct session *s, int fd, const struct ioctl_gntalloc_dealloc_gref *op)
{
	uint64_t first = op->index / PAGE_BYTES;

	if (first < FIRST_PAGE || first >= PAGES || s->table->pages[first].run != op->count)
		return -EINVAL;
	must(lock(fd, F_OFD_SETLK, F_UNLCK, LOCK_HELD + (int64_t)first, op->count, NULL) == 0,
	     "F_OFD_SETLK");
	reap(s);
	return 0;
}

/* ---- gntdev ---- */

static bool may_map(const struct session *s, const struct ioctl_gntdev_grant_ref *reference)
{
	const struct page *page = &s->table->pages[reference->ref];

	return page->state == PAGE_GRANTED && !page->revoked && page->owner == reference->domid &&
	       page->to == own_domid(s);
}

static struct ioctl_gntdev_grant_ref reference_at(const struct ioctl_gntdev_map_grant_ref *op,
						  uint32_t i)
{
	struct ioctl_gntdev_grant_ref reference;

	memcpy(&reference,
	       (const char *)op + offsetof(struct ioctl_gntdev_map_grant_ref, refs) +
		       i * sizeof(reference),
	       sizeof(reference));
	return reference;
}

/* The run that a page is of. */
static uint32_t run_of(const struct session *s, uint32_t page)
{
	while (s->table->pages[page].run == 0)
		page--;
	return page;
}

static int do_map(const struct session *s, int fd, struct ioctl_gntdev_map_grant_ref *op)
{
	uint32_t first = reference_at(op, 0).ref;
	bool good = true;

	if (op->count == 0)
		return -EINVAL;
	if (s->table->exhausted)
		return -ENOMEM;
	for (uint32_t i = 0; i < op->count; i++) {
		struct ioctl_gntdev_grant_ref reference = reference_at(op, i);

		good = good && reference.ref >= FIRST_PAGE && reference.ref < PAGES &&
		       may_map(s, &reference);
		if (good && reference.ref != first + i)
			return -EINVAL;
	}
	op->index = good ? (uint64_t)first * PAGE_BYTES : CANNOT_MAP;
	if (!good)
		return 0;
	s->table->pages[run_of(s, first)].mapped = true;
	must(lock(fd, F_OFD_SETLK, F_RDLCK, LOCK_MAPPED + first, op->count, NULL) == 0,
	     "F_OFD_SETLK");
	return 0;
}

static int do_unmap(const struct session *s, int fd, const struct ioctl_gntdev_unmap_grant_ref *op)
{
	must(lock(fd, F_OFD_SETLK, F_UNLCK, LOCK_MAPPED + (int64_t)(op->index / PAGE_BYTES),
		  op->count, NULL) == 0,
	     "F_OFD_SETLK");
	reap(s);
	return 0;
}

/* ---- both ---- */

/* The two devices give their requests one number; a file of gntdev shows what it is by O_APPEND. */
static bool is_gntdev(int fd)
{
	return fcntl(fd, F_GETFL) & O_APPEND;
}

static int do_notify(const struct session *s, int fd, const struct ioctl_gntalloc_unmap_notify *op)
{
	uint64_t page = op->index / PAGE_BYTES;
	struct notify notify = {.set = op->action & UNMAP_NOTIFY_CLEAR_BYTE,
				.at = op->index % PAGE_BYTES};

	if (op->action & ~(uint32_t)UNMAP_NOTIFY_CLEAR_BYTE)
		return -EINVAL; /* no event channels here */
	if (op->index / PAGE_BYTES == CANNOT_MAP / PAGE_BYTES)
		return 0;
	if (page < FIRST_PAGE || page >= PAGES || s->table->pages[page].state == PAGE_FREE)
		return -ENOENT;
	if (is_gntdev(fd))
		s->table->pages[page].backend = notify;
	else
		s->table->pages[page].guest = notify;
	return 0;
}

static int do_request(const struct session *s, int fd, unsigned long request, void *argument)
{
	switch (request) {
	case IOCTL_GNTALLOC_ALLOC_GREF:
		return do_alloc(s, fd, argument);
	case IOCTL_GNTALLOC_DEALLOC_GREF:
		return do_dealloc(s, fd, argument);
	case IOCTL_GNTDEV_MAP_GRANT_REF:
		return do_map(s, fd, argument);
	case IOCTL_GNTDEV_UNMAP_GRANT_REF:
		return do_unmap(s, fd, argument);
	case IOCTL_GNTDEV_SET_UNMAP_NOTIFY:
		return do_notify(s, fd, argument);
	default:
		return -ENOTTY;
	}
}

static bool is_ours(int fd)
{
	const char *path = getenv("FAKE_GRANTS");
	struct stat file, grants;

	return path && fstat(fd, &file) == 0 && stat(path, &grants) == 0 &&
	       file.st_dev == grants.st_dev && file.st_ino == grants.st_ino;
}

int fake_grants_open(const char *path, int flags, bool *handled)
{
	const char *grants = getenv("FAKE_GRANTS");
	bool gntdev = strcmp(path, GNTDEV) == 0;

	*handled = grants && (gntdev || strcmp(path, GNTALLOC) == 0);
	if (!*handled)
		return -1;
	return open(grants, gntdev ? flags | O_APPEND : flags);
}

int fake_grants_ioctl(int fd, unsigned long request, void *argument, bool *handled)
{
	struct session s;
	int res;

	*handled = _IOC_TYPE(request) == 'G' && is_ours(fd);
	if (!*handled)
		return -1;
	s = begin();
	res = do_request(&s, fd, request, argument);
	end(&s);
	if (res == 0)
		return 0;
	errno = -res;
	return -1;
}

bool fake_grants_may_mmap(int fd, uint64_t offset, uint64_t bytes, bool writable)
{
	uint64_t first = offset / PAGE_BYTES, count = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	struct session s;
	bool may = true;

	if (!writable || !is_ours(fd) || !is_gntdev(fd) || first >= PAGES || count > PAGES - first)
		return true;
	if (!try_begin(&s))
		return true;
	for (uint64_t i = first; i < first + count; i++)
		may = may && s.table->pages[i].writable;
	end(&s);
	return may;
}

/* ---- the test ---- */

void fake_grants_create(void)
{
	int fd = memfd_create("fake-grants", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char path[64];

	must(fd >= 0 && ftruncate(fd, (off_t)PAGES * PAGE_BYTES) == 0, "memfd");
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0, "F_ADD_SEALS");
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	must(setenv("FAKE_GRANTS", path, 1) == 0, "setenv");
}

void fake_grants_destroy(void)
{
	const char *path = getenv("FAKE_GRANTS");

	if (path)
		close((int)strtol(strrchr(path, '/') + 1, NULL, 10));
	unsetenv("FAKE_GRANTS");
}

void fake_grants_exhaust(bool exhausted)
{
	struct session s = begin();

	s.table->exhausted = exhausted;
	end(&s);
}

void fake_grants_revoke(uint32_t domid)
{
	struct session s = begin();

	for (uint32_t i = FIRST_PAGE; i < PAGES; i++)
		s.table->pages[i].revoked |= s.table->pages[i].owner == domid;
	end(&s);
}

void fake_grants_moved(uint32_t old, uint32_t new)
{
	struct session s = begin();
	uint32_t i = 0;

	while (i < s.table->moved_count && s.table->moved[i].old != old)
		i++;
	must(i < MOVED_MAX, "too many domains have moved");
	s.table->moved[i].old = old;
	s.table->moved[i].new = new;
	if (i == s.table->moved_count)
		s.table->moved_count++;
	end(&s);
}

struct fake_grants_count fake_grants_count(uint32_t domid)
{
	struct session s = begin();
	struct fake_grants_count count = {.granted = granted_by(&s, domid)};

	for (uint32_t i = FIRST_PAGE; i < PAGES; i++) {
		if (s.table->pages[i].state != PAGE_FREE && s.table->pages[i].owner == domid)
			count.mapped += is_held(&s, LOCK_MAPPED, i, 1);
	}
	end(&s);
	return count;
}
