#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 600 s.
# The worker is killed, the broker is killed, both services are restarted, the package is installed again, and
# removed and installed anew, all while a guest plays: its program notices nothing, and is heard within a second of
# the service being up.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

EVENTS=() DOWN=() UP=()

# settled EVENT DOWN UP: the event is over; the times are when nothing of before plays any more, and when the
# service was up again.
settled() {
	EVENTS+=("$1") DOWN+=("$2") UP+=("$3")
	check "after $1: it is heard" wait_for 30 guest_is_heard pv
	tap_go_on "$SESSION/heard.f32" 2000
}

# The same for the unit.
unit_settled() {
	settled "$1" "$(unit_ns ActiveExit)" "$(unit_ns ActiveEnter)"
}

# install_backend HOW
install_backend() {
	DEBIAN_FRONTEND=noninteractive dpkg -i /payload/debs/dom0/xaring-backend_*.deb >>"$SESSION/log/install" 2>&1 </dev/null
	check "the package is installed $1" test $? -eq 0
}

session_need
guest_need pv pv
tap_sink "$SESSION/heard.f32"
guest_player pv 1 -b 48000
heard_or_die pv
tap_go_on "$SESSION/heard.f32" 2000

# It stands still, so that systemd finds it, which then continues what it asks to end (systemd.kill(5)).
broker=$(broker_pid)
worker=$(worker_of_broker)
mark=$(log_mark)
kill -STOP "$worker"
began=$(now_ns)
kill -9 "$broker"
check "the broker is up again" wait_for 60 unit_is_up_after "$began"
check "its worker is gone" is_gone "$worker"
check "its log has all of that" wait_for 10 log_has "$mark" 'Stopped xaring-pw'
check "it was left to clear up" test "$(log_count "$mark" 'Killing process .*xaring-worker')" = 0
unit_settled "the broker's death"

worker=$(worker_of_broker)
broker=$(broker_pid)
began=$(now_ns)
kill -9 "$worker"
check "there is another worker" wait_for 10 worker_is_new "$worker"
check "the broker is the same" test "$(broker_pid)" = "$broker"
settled "the worker's death" "$began" "$began"

daemon=$(guest_daemon pv)
began=$(now_ns)
systemctl restart xaring-pw
guest_run pv "kill $daemon"
check "the backend is up again" wait_for 20 unit_is_up_after "$began"
check "so is the guest's daemon" wait_for 20 guest_daemon_is_new pv "$daemon"
unit_settled "a restart of both"

began=$(now_ns)
install_backend "again"
check "the service was restarted by that" unit_is_up_after "$began"
unit_settled "a reinstallation"

# As the person whose dom0 has never had it: no reboot. Half a minute in the emulator.
if [ "$XARING_TEST" != quick ]; then
	DEBIAN_FRONTEND=noninteractive dpkg --purge xaring-backend >>"$SESSION/log/install" 2>&1 </dev/null
	check "the package is removed" test $? -eq 0
	check "its service is gone" test "$(systemctl show -P LoadState xaring-pw)" = not-found
	began=$(now_ns)
	install_backend "anew"
	check "the service was started by that" unit_is_up_after "$began"
	settled "an installation" "$began" "$(unit_ns ActiveEnter)"
fi

player_ends pv 1 "$SESSION/heard.f32"
nothing_wrong_check pv
unnoticed_check pv
gaps_check pv ${#EVENTS[@]}
FIGURE=''
for i in "${!EVENTS[@]}"; do
	back_check "${EVENTS[i]}" "${DOWN[i]}" "${UP[i]}" 1000
	FIGURE+="${FIGURE:+, }$BACK_MS ms after ${EVENTS[i]}"
done
figure "heard $FIGURE"
check_end
