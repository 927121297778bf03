/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into QEMU: mends one fault of the SVM that it emulates, without which PVH guests of Xen end by triple
 * faults, or hang.
 *
 * helper_vmrun (target/i386/tcg/sysemu/svm_helper.c of QEMU 7.2) delivers an interrupt that Xen injects,
 * and leaves its number in the processor's exception_index, where numbers wait to be delivered. Whatever leaves the
 * loop of emulation before the guest is left, a timer or another processor, has it delivered again: into the middle of
 * its own handler, with interrupts disabled. So here the number is forgotten when it is delivered.
 *
 * Debian's QEMU exports its functions, for its modules. do_interrupt_x86_hardirq(env, vector, is_hardware) does nothing
 * but to call do_interrupt_all; a jump to our own takes its place.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern __thread char *current_cpu __attribute__((weak));

static void (*deliver_any)(void *cpu, int vector, int is_int, int error, uint64_t next, int is_hw);
static int32_t index_offset;

static void deliver(void *env, int vector, int is_hardware)
{
	const int32_t none = -1;

	(void)env;
	memcpy(current_cpu + index_offset, &none, sizeof(none));
	deliver_any(current_cpu, vector, 0, 0, 0, is_hardware);
}

/* Where in a processor its exception_index is: cpu_loop_exit_noexc(cpu) begins by making it -1. */
static int find_offset(const unsigned char *code)
{
	static const unsigned char movl_rdi[] = {0xc7, 0x87};
	static const unsigned char minus_1[] = {0xff, 0xff, 0xff, 0xff};

	for (int i = 0; i < 32; i++) {
		if (memcmp(code + i, movl_rdi, 2) || memcmp(code + i + 6, minus_1, 4))
			continue;
		memcpy(&index_offset, code + i + 2, sizeof(index_offset));
		return 0;
	}
	return -1;
}

/* movabs $ours, %rax; jmp *%rax */
static int replace(unsigned char *function, void (*ours)(void *, int, int))
{
	unsigned char code[12] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *from = function - (uintptr_t)function % page;

	memcpy(code + 2, &ours, sizeof(ours));
	if (mprotect(from, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC))
		return -1;
	memcpy(function, code, sizeof(code));
	return mprotect(from, 2 * page, PROT_READ | PROT_EXEC);
}

__attribute__((constructor)) static void mend(void)
{
	void *loop_exit = dlsym(RTLD_DEFAULT, "cpu_loop_exit_noexc");
	void *hardirq = dlsym(RTLD_DEFAULT, "do_interrupt_x86_hardirq");
	void *all = dlsym(RTLD_DEFAULT, "do_interrupt_all");

	/* What execs QEMU loads this as well. */
	if (!dlsym(RTLD_DEFAULT, "qemu_init"))
		return;
	memcpy(&deliver_any, &all, sizeof(deliver_any));
	if (!loop_exit || !hardirq || !all || find_offset(loop_exit) || replace(hardirq, deliver))
		fprintf(stderr, "deliver-once: this QEMU is another one; PVH guests may be lost\n");
}
