#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadline: 500 s.
# In the long run only.
# Another domain than dom0 has the sound: it has dom0's packages and is told of a guest, the guest is told of it,
# and what the guest plays is exact there, and nothing of it in dom0. One more Debian boots for it.
# shellcheck source=tests/xen/lib.sh
. /payload/tests/xen/lib.sh

SECONDS_OF_IT=10

# hears NAME: the recorder of the audio domain is at work.
hears() {
	guest_run audio 'rm -rf /t/heard; mkdir -p /t/heard'
	GUEST_SECONDS=120 guest_run audio "SCENARIO=heard /payload/tests/xen/machine/audio-domain $1 $SECONDS_OF_IT"
	check "the audio domain hears $1" test $? -eq 0 || {
		guest_user "$1" xaring-guestd --status
		check_end
	}
	VERDICT=$SESSION/verdict.json
	guest_fetch audio /t/heard/verdict "$VERDICT"
	check "$1: $(verdict '"\(.coded) frames, \(.gaps) gaps, \(.jumps) jumps, \(.damaged) damaged"')" \
		verdict_holds '.gaps + .jumps + .repeated + .foreign + .damaged == 0'
	check_number "$1: frames" "$(verdict .coded)" -gt $((SECONDS_OF_IT * 47500))
}

# As the manual says it for a machine at whose screen nobody sits.
audio_start() {
	guest_create audio audio
	xl sched-credit2 -d audio -w 4096
	guest_await audio 200
	guest_run audio 'loginctl enable-linger alice
		mkdir -p /etc/pipewire/xaring-pw.conf.d
		echo "xaring.properties = { audio.user = alice }" >/etc/pipewire/xaring-pw.conf.d/local.conf
		systemctl restart xaring-pw'
	check "the backend runs in the audio domain" test $? -eq 0
}

session_need
guest_destroy audio
audio_start
audio=$(guest_id audio)
guest_destroy far
guest_start far pv
far=$(guest_id far)
mapped=$(mapped_grants)
at_exit "xenstore-rm /local/domain/$audio/xaring/guest/$far 2>/dev/null"
xenstore-write "/local/domain/$far/xaring/backend-id" "$audio" \
	"/local/domain/$audio/xaring/guest/$far/name" far
guest_player far 1 -b 48000
hears far
check "dom0 hears nothing of it" guest_is_silent far
check "nor has it its pages" mapped_grants_are "$mapped"
check "--status finds nothing broken" guest_user far xaring-guestd --status
guest_signal far player TERM
check "the program ends well" guest_wait far player 30
guest_destroy far
check "no dead domain is left" wait_for 5 no_zombies
guest_destroy audio
figure "frames heard by the audio domain, of $SECONDS_OF_IT s: $(verdict .coded)"
check_end
