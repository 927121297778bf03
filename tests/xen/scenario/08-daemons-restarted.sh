#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 600 s.
# The worker is killed, the broker is killed, both services are restarted, the packages are installed again,
# all while a guest plays: its program notices nothing, and is heard within a second of the service being up.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh
# shellcheck source=tests/xen/machine/lib-more.sh
. /payload/tests/xen/machine/lib-more.sh

EVENTS=() BEGAN=() UP=()

# The event is over, and the guest is heard: for how long does not matter.
settled() {
	EVENTS+=("$1") BEGAN+=("$2") UP+=("$3")
	check "after $1: it is heard" wait_for 30 guest_is_heard pv
	tap_go_on "$SESSION/heard.f32" 3000
}

session_need
guest_need pv pv
tap_sink "$SESSION/heard.f32"
guest_player pv 1 -b 8192
heard_or_die pv
tap_go_on "$SESSION/heard.f32" 2000

worker=$(worker_of_broker)
broker=$(broker_pid)
began=$(now_ns)
kill -9 "$worker"
check "there is another worker" wait_for 10 worker_is_new "$worker"
check "the broker is the same" test "$(broker_pid)" = "$broker"
settled "the worker's death" "$began" "$began"

began=$(now_ns)
kill -9 "$broker"
check "the broker is up again" wait_for 20 unit_is_up_after xaring-pw "$began"
settled "the broker's death" "$began" "$(unit_up_ns xaring-pw)"

daemon=$(guest_run pv pidof xaring-guestd)
began=$(now_ns)
systemctl restart xaring-pw
guest_run pv "kill $daemon"
check "both are up again" wait_for 20 guest_run pv "pidof xaring-guestd | grep -vqx $daemon"
settled "a restart of both" "$began" "$(unit_up_ns xaring-pw)"

began=$(now_ns)
DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends --reinstall install \
	/payload/debs/dom0/*.deb >"$SESSION/log/install" 2>&1 </dev/null
check "the packages are installed again" test $? -eq 0
check "the service was restarted by that" unit_is_up_after xaring-pw "$began"
settled "a reinstallation" "$began" "$(unit_up_ns xaring-pw)"

player_ends pv 1 "$SESSION/heard.f32"
nothing_wrong_check pv
FIGURE=''
for i in "${!EVENTS[@]}"; do
	heard=$(heard_after "${BEGAN[i]}")
	back_ms=$(((${heard:-0} - UP[i]) / 1000000))
	check "${EVENTS[i]}: it is heard afterwards" test -n "$heard"
	check_number "${EVENTS[i]}: ms until it is heard" $back_ms -le 1000
	FIGURE+="${FIGURE:+, }$back_ms ms after ${EVENTS[i]}"
done
figure "heard $FIGURE; xruns of the program: $(player_says pv .xruns)"
check_end
