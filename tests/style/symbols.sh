#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the shared objects export and need, and what the pure modules call.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1
need nm
need readelf

LIBRARY=$XARING_BUILD/libxaring/libxaring.so.0
PLUGIN=$XARING_BUILD/alsa-plugin/libasound_module_pcm_xen.so
CONTROL=$XARING_BUILD/alsa-plugin/libasound_module_ctl_xen.so
BACKEND=$XARING_BUILD/pw-backend/xaring-pw
CTL=$XARING_BUILD/pw-backend/ctl/xaringctl
NOTIFY=$XARING_BUILD/pw-backend/notify/xaring-notify
GUESTD=$XARING_BUILD/libxaring/guestd/xaring-guestd

# Names of a build for tests: run-time libraries of the sanitizers and of coverage.
TESTING='^(lib(asan|ubsan|tsan|lsan|clang_rt)[a-z0-9_.-]*\.so.*|libgcc_s\.so\.1)$'

exports() {
	nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u
}

needs() {
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -vE "$TESTING|^ld-linux"
}

need_file "$LIBRARY"
exports "$LIBRARY" | grep -v '^xaring_' | none "libxaring exports nothing but xaring_*"
check_number "libxaring exports functions" "$(exports "$LIBRARY" | grep -c '^xaring_')" -ge 20
needs "$LIBRARY" | grep -vx 'libc\.so\.6' | none "libxaring needs the C library only"
readelf -dW "$LIBRARY" | grep -q 'SONAME.*\[libxaring\.so\.0\]' &&
	pass "libxaring has its soname" || fail "libxaring has its soname"
nm -D --defined-only "$LIBRARY" | grep -E ' xaring_' | grep -v '@@LIBXARING_' |
	none "every function of libxaring has a version"

diff <(exports "$LIBRARY") <(sed -n 's/^ \(xaring_[a-z_]*\)@.*/\1/p' debian/libxaring0.symbols | sort) |
	grep '^[<>]' | none "debian/libxaring0.symbols lists what the library exports"

# plugin NAME FILE SYMBOL...
plugin() {
	local name=$1 file=$2
	shift 2
	diff <(exports "$file") <(printf '%s\n' "$@" | LC_ALL=C sort) |
		none "$name exports the two symbols that alsa-lib looks up"
	needs "$file" | grep -vxE 'libc\.so\.6|libasound\.so\.2|libxaring\.so\.0' |
		none "$name needs libasound, libxaring and the C library only"
	nm -D --undefined-only "$file" | grep -E ' (pthread_create|clone|signal|sigaction|abort|exit)(@|$)' |
		none "$name starts no thread, handles no signal and ends no process"
}

if [ -e "$PLUGIN" ]; then
	plugin "the plugin" "$PLUGIN" __snd_pcm_xen_open_dlsym_pcm_001 _snd_pcm_xen_open
	plugin "the plugin for mixers" "$CONTROL" __snd_ctl_xen_open_dlsym_control_001 _snd_ctl_xen_open
else
	note "the plugin is not built"
fi

if [ -e "$BACKEND" ]; then
	needs "$BACKEND" | grep -E '^lib(asound|xen)' | none "the backend needs neither ALSA nor Xen's libraries"
else
	note "the backend is not built"
fi

if [ -e "$CTL" ]; then
	needs "$CTL" | grep -E '^lib(asound|xen|seccomp)' |
		none "xaringctl needs neither ALSA nor Xen's libraries nor a filter"
else
	note "xaringctl is not built"
fi

if [ -e "$NOTIFY" ]; then
	needs "$NOTIFY" | grep -E '^lib(asound|xen|seccomp|pipewire|ncurses)' |
		none "xaring-notify needs neither sound nor Xen's libraries nor a screen"
else
	note "xaring-notify is not built"
fi

if [ -e "$GUESTD" ]; then
	needs "$GUESTD" | grep -E '^lib(asound|pipewire|xen)' |
		none "the guest's daemon needs neither ALSA nor PipeWire nor Xen's libraries"
else
	note "the guest's daemon is not built"
fi

# The objects of a build with sanitizers or coverage call their run-time library.
pure_objects() {
	find "$XARING_BUILD/libxaring" "$XARING_BUILD/pw-backend" -name '*.o' 2>/dev/null |
		grep -E '/(libxaring\.so[^/]*\.p/src_(record|clock|gain|position|format)|xaring-pw\.p/worker_(pump|session))\.c\.o$'
}

pure_objects | while read -r object; do
	nm -u "$object" | awk -v object="${object##*/}" '{ print object ": " $2 }'
done | grep -vE ': (mem(cpy|set|move|cmp)|snprintf|str(len|n?cmp)|abs|__stack_chk_fail(_local)?|_GLOBAL_OFFSET_TABLE_|__(snprintf|memcpy|memset|memmove)_chk)$' |
	grep -vE ': (xaring_(ring|record|clock|gain|position|format|map|params|word|refusal|copy|attach|headroom|state)[a-z_]*|pump_[a-z_]+|session_[a-z_]+)$' |
	grep -vE ': __(asan|ubsan|tsan|sanitizer|gcov|llvm_profile)_' |
	none "the pure modules call nothing but each other, memory and string functions"
check_number "pure modules that were looked at" "$(pure_objects | wc -l)" -ge 4

check_end
