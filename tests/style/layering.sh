#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The layering rules of HACKING.md, held against what the files include and call.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

PURE_CALLS='malloc|calloc|realloc|free|strdup|f?printf|puts|perror|syslog|f?open|close|read|write|send|recv'
PURE_CALLS+='|sendmsg|recvmsg|ioctl|mmap|munmap|poll|select|usleep|nanosleep|clock_gettime|gettimeofday|time'
PURE_CALLS+='|pthread_[a-z_]+|xaring_log|pw_log_[a-z]+'

# What our daemons have in common may be included by both of them.
DAEMON_HEADERS=":\"($(basename -a libxaring/src/daemon/*.h | paste -sd'|' | sed 's/\./\\./g'))\$"

# Those of Xen are for the daemons.
XEN_HEADERS=":\"($(basename -a libxaring/src/xen/*.h | paste -sd'|' | sed 's/\./\\./g'))\$"

# includes FILE...: lines "file:line:header", headers with their < or ".
includes() {
	[ $# -eq 0 ] || grep -nHoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"][^>"]+' "$@" |
		sed -E 's/#[[:space:]]*include[[:space:]]*//; s/:[[:space:]]+/:/g'
}

# A header in quotes is looked for beside the file: prints the lines whose header is not there.
not_beside() {
	local file line header
	while IFS=: read -r file line header; do
		[ -f "$(dirname "$file")/${header#\"}" ] || echo "$file:$line: ${header#\"}"
	done
}

mapfile -t library < <(tree 'libxaring/*.[ch]')
mapfile -t library_plain < <(tree 'libxaring/*.[ch]' | grep -v '^libxaring/src/xen/')
mapfile -t plugin < <(tree 'alsa-plugin/*.[ch]')
mapfile -t guestd < <(tree 'libxaring/guestd/*.[ch]')
mapfile -t backend < <(tree 'pw-backend/*.[ch]')
mapfile -t pure < <(tree 'libxaring/*/protocol.[ch]' 'libxaring/*/ring.[ch]' \
	'libxaring/*/record.[ch]' 'libxaring/*/clock.[ch]' 'libxaring/*/position.[ch]' \
	'libxaring/*/format.[ch]' 'pw-backend/worker/pump.[ch]' 'pw-backend/worker/session.[ch]')
mapfile -t notify_pure < <(tree 'pw-backend/notify/asking.[ch]' 'pw-backend/notify/wording.[ch]')

# Without files every rule would hold.
check_number "files of the library" ${#library[@]} -ge 15
check_number "files of the plugin" ${#plugin[@]} -ge 5
check_number "files of the guest's daemon" ${#guestd[@]} -ge 10
check_number "files of the backend" ${#backend[@]} -ge 10
check_number "pure files" ${#pure[@]} -ge 12

includes "${library[@]}" | grep -E '[<"](alsa|pipewire|spa)/' |
	none "1. libxaring includes neither ALSA nor PipeWire"

includes "${library_plain[@]}" "${plugin[@]}" "${backend[@]}" |
	grep -E '[<"](xen/|xen[a-z]*\.h|xs\.h)' |
	none "2. Xen headers are included below libxaring/src/xen/ only"

{
	includes "${plugin[@]}" | grep -E ':"' | not_beside
	includes "${plugin[@]}" | grep -E '"\.\./|[<"](pipewire|spa|systemd)/'
	includes "${plugin[@]}" "${backend[@]}" | grep -oE '^[^:]*:[^:]*:[<"]xaring/.*' |
		while IFS=: read -r file line header; do
			[ -f "libxaring/include/${header#?}" ] || echo "$file:$line: $header"
		done
} | none "3. the plugin includes its own headers and libxaring's public ones"

{
	includes "${backend[@]}" | grep -E ':"' | grep -vE "$DAEMON_HEADERS" |
		grep -vE "^pw-backend/broker/.*$XEN_HEADERS" | not_beside
	includes "${backend[@]}" | grep -E '[<"]alsa/|"\.\./\.\./'
	includes "${backend[@]}" | grep -E '^pw-backend/broker/.*"\.\./worker/' |
		grep -v 'worker/worker\.h$'
	includes "${backend[@]}" | grep -E '^pw-backend/(worker|ctl)/.*"\.\./broker/'
	includes "${backend[@]}" | grep -E '^pw-backend/ctl/.*"\.\./' | grep -v '"\.\./control\.h$'
	includes "${backend[@]}" | grep -E '^pw-backend/(worker|broker)/.*"\.\./(ctl|notify)/'
	includes "${backend[@]}" | grep -E '^pw-backend/notify/.*"\.\./' | grep -v '"\.\./ctl/request\.h$'
} | none "3. the backend includes its own headers, libxaring's public ones and those of its daemons, the broker those of Xen; broker and worker meet in ipc.h, broker and xaringctl in control.h; xaring-notify sees ctl/request.h"

{
	includes "${guestd[@]}" | grep -E ':"' | grep -vE "$DAEMON_HEADERS" | grep -vE "$XEN_HEADERS" |
		not_beside
	includes "${guestd[@]}" | grep -E '"\.\./'
} | none "3. the guest's daemon includes its own headers, libxaring's public ones, those of daemons and of Xen"

includes "${backend[@]}" | grep -E '[<"](pipewire|spa)/' |
	grep -vE '^pw-backend/worker/(glue|guest|looks|main|node|stream|watch|worker)[a-z-]*\.[ch]:' |
	grep -vE '^pw-backend/(broker/config(-reader)?|ctl/mixer)\.c:' |
	none "4. PipeWire is included by the worker's glue, where configuration is read, and by xaringctl's mixer"

{
	includes "${pure[@]}" | grep -E '[<"](stdlib|unistd|fcntl|time|poll|pthread|signal)\.h|[<"](sys|pipewire|spa|alsa)/|[<"]xaring/(log|client|server|pages)\.h' |
		grep -vE '^pw-backend/worker/pump\.[ch]:[0-9]+:<xaring/pages\.h'
	# Comments may speak of what code may not call.
	for file in "${pure[@]}"; do
		sed -E 's@/\*.*\*/@@; s@^[[:space:]]*/?\*.*@@; s@//.*@@' "$file" |
			grep -nE "(^|[^A-Za-z0-9_>.])($PURE_CALLS)[[:space:]]*\(" | sed "s@^@$file:@"
	done
} | none "5, 6. protocol, ring, record, clock, position, format, session and pump: no I/O, no allocation, no logging"

includes "${notify_pure[@]}" | grep -E '[<"](systemd|json-c|sys|unistd|time)[./]' |
	none "7. what follows from a question, and its words, know neither bus nor socket"

grep -nE '^[a-z][a-zA-Z0-9_ *]*[(]' libxaring/include/xaring/protocol.h |
	none "5. protocol.h declares no functions"

# A word of a shared page is only ever named to take its address.
mapfile -t code < <(tree 'libxaring/*.[ch]' 'alsa-plugin/*.[ch]' 'pw-backend/*.[ch]')
grep -nHP '(?<![&\w>.-])[\w>.-]*control->(guest|backend|record)\b' "${code[@]}" |
	none "shared words are reached through xaring_load() and xaring_store()"

tree '*.[ch]' | grep -E '^(libxaring|alsa-plugin|pw-backend)/' |
	xargs grep -nE 'D_GNU_SOURCE|define _GNU_SOURCE|typedef (struct|enum|union)' |
	none "no file defines _GNU_SOURCE or hides a struct behind a typedef"

check_end
