# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Guests that are saved and restored. Sourced after lib.sh.

# same_number FILE DOMID: what was saved there becomes that domain. xl keeps the configuration behind its
# header (xl.h, struct save_file_header) as JSON, with its length.
same_number() {
	python3 - "$1" "$2" <<-'END'
		import json, struct, sys
		with open(sys.argv[1], "r+b") as file:
		    file.seek(48)
		    length, = struct.unpack("=I", file.read(4))
		    config = json.loads(file.read(length).rstrip(b"\0"))
		    config["c_info"]["domid"] = int(sys.argv[2])
		    text = json.dumps(config, separators=(",", ":")).encode()
		    assert len(text) < length
		    file.seek(52)
		    file.write(text.ljust(length - 1) + b"\0")
	END
}

# second_is_over SECOND: since the machine's start.
second_is_over() {
	local up
	read -r up _ </proc/uptime
	[ "${up%%.*}" -gt "$1" ]
}

# resume NAME DOMID [same]: restores what was saved of that domain, with the same number again or, as usual,
# another one. RESUMED is when the guest runs again.
resume() {
	local up
	check "$1: no dead domain is left" wait_for 2 no_zombies
	if [ "${3:-}" = same ]; then
		same_number "/t/$1.save" "$2"
		# libxl gives no number again within the second in which its domain ended, whatever the timeout is.
		read -r up _ </proc/uptime
		wait_for 3 second_is_over "${up%%.*}"
	fi
	LIBXL_DOMID_REUSE_TIMEOUT=0 xl restore -p "/t/$1.save" >>"$SESSION/log/xl" 2>&1
	check "$1 is restored" test $? -eq 0 || check_end
	rm -f "/t/$1.save"
	if [ "${3:-}" = same ]; then
		check_number "$1: the number of its domain" "$(guest_id "$1")" -eq "$2"
	else
		check_number "$1: the number of its domain" "$(guest_id "$1")" -ne "$2"
	fi
	RESUMED=$(now_ns)
	xl unpause "$1"
}

# save_and_restore NAME [same]
save_and_restore() {
	local id
	id=$(guest_id "$1")
	xl save "$1" "/t/$1.save" >>"$SESSION/log/xl" 2>&1
	check "$1 is saved" test $? -eq 0 || check_end
	resume "$1" "$id" "${2:-}"
}

# restored NAME NUMBER ROUNDS: so often in a row, with one program, which waits in a write whenever it is not
# writing; of several the last time as the same domain. Sets the figure.
restored() {
	local name=$1 number=$2 rounds=$3 daemon backend round resumed=() longest_ms=0 which=''
	daemon=$(guest_daemon "$name")
	backend="$(broker_pid) $(worker_of_broker)"
	tap_sink "$SESSION/$name.f32"
	guest_player "$name" "$number" -b 8192
	heard_or_die "$name"
	tap_go_on "$SESSION/$name.f32" 2000
	for ((round = 1; round <= rounds; round++)); do
		[ "$rounds" -eq 1 ] || [ "$round" -lt "$rounds" ] || which=same
		save_and_restore "$name" $which
		resumed+=("$RESUMED")
		check "$name: it is heard again, round $round" wait_for 30 guest_is_heard "$name"
		tap_go_on "$SESSION/$name.f32" 1500
	done
	player_ends "$name" "$number" "$SESSION/$name.f32"
	check "$name: the daemon is the same" test "$(guest_daemon "$name")" = "$daemon"
	check "$name: and the backend: $backend" test "$(broker_pid) $(worker_of_broker)" = "$backend"
	nothing_wrong_check "$name" $((rounds * 8192))
	check_number "$name: gaps" "$GAPS" -ge "$rounds"
	gaps_check "$name" "$rounds"
	for RESUMED in "${resumed[@]}"; do
		back_check "$name" "$RESUMED" "$RESUMED" 3000
		[ "$BACK_MS" -le "$longest_ms" ] || longest_ms=$BACK_MS
	done
	figure "$rounds restores of $name, heard at most $longest_ms ms after the resume; longest gap: $LONGEST_MS ms"
}
