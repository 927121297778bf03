# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Browsers play and record through PipeWire's PulseAudio: their sandboxes keep them from the device itself. A page of
# tests/apps/web does it by WebAudio, with the samples as they are.
KIND=browser PACKAGE=chromium SERVER=browsers
# shellcheck source=tests/apps/servers.sh
. "$APPS/servers.sh"
# Where web/server is.
HERE=http://127.0.0.1:8000
# They start and end slowly.
END_MS=5000 START_MS=12000

setup() {
	local file
	for file in "$APPS"/web/*; do guest_write "web/${file##*/}" <"$file"; done
	pipewire_begins
	serve web python3 web/server web
}

# hurry_audio: of what runs in the guest, the threads that have to do with sound: without rtkit they are as all others.
hurry_audio() {
	local pid task
	for pid in $(as_root pgrep --ns "$GUEST_PID" --nslist pid 'firefox|chromium'); do
		for task in /proc/"$pid"/task/*; do
			case $(cat "$task/comm" 2>/dev/null) in
			*[Aa]udio* | *[Cc]ubeb* | *[Pp]ulse* | threaded-ml*) as_root chrt -f -p 20 "${task##*/}" 2>/dev/null ;;
			esac
		done
	done
}

# browse PAGE?ARGUMENT: its threads come one after the other, so they are looked for until it ends.
browse() {
	local pid
	browse_page "$@" &
	pid=$!
	until is_gone_or_zombie $pid; do
		hurry_audio
		sleep 0.2
	done
	wait $pid
}

# browse_page PAGE?ARGUMENT: with a new profile, until the page says that it is done. Told to end, Firefox has that as its exit code.
browse_page() {
	# shellcheck disable=SC2016
	guest timeout -s KILL 40 sh -c 'rm -rf closed firefox chromium
		mkdir firefox && cp user.js firefox/ 2>/dev/null
		page=$0
		"$@" "$page" &
		until [ -e closed ]; do sleep 0.05; done
		kill $!
		wait $!
		code=$?
		cat closed
		! grep -q failed closed && { [ $code -eq 0 ] || [ $code -eq 143 ]; }' "$HERE/$1" "${BROWSER[@]}"
}

play() {
	browse "play.html?$SOUND"
}

record() {
	browse "record.html?$RECORD_S$SCALE"
}

# Chromium records with 16 bits, of which its floats have another scale where they are positive; the page undoes that.
chromium() {
	SCALE=,32767
	BROWSER=(chromium --headless --no-sandbox --disable-gpu --user-data-dir=chromium --no-first-run
		--autoplay-policy=no-user-gesture-required --use-fake-ui-for-media-stream)
	client chromium chromium
	plays
	records
	result remark "headless, without its sandbox; records 16 bits"
}

firefox() {
	SCALE=''
	guest_write user.js <<-'END'
		user_pref("media.autoplay.default", 0);
		user_pref("media.navigator.permission.disabled", true);
		user_pref("browser.shell.checkDefaultBrowser", false);
		user_pref("browser.aboutwelcome.enabled", false);
		user_pref("browser.startup.homepage_override.mstone", "ignore");
		user_pref("datareporting.policy.dataSubmissionEnabled", false);
		user_pref("termsofuse.bypassNotification", true);
		user_pref("app.normandy.enabled", false);
		user_pref("toolkit.startup.max_resumed_crashes", -1);
	END
	BROWSER=(firefox-esr --headless --no-remote --profile firefox)
	# It delays what it records, by some silence, until that suits what it plays, within its first second.
	took_room() {
		awk -v second="$SESSION_RATE" -v next_frame="$(room_begin)" '
			$1 == "end" { bad = bad || $2 || $3; next }
			$6 || $2 != next_frame || (NR > 1 && $4 - first > second) { bad = 1 }
			NR == 1 { first = $4 }
			{ next_frame = $2 + $3; last = $3 }
			END { exit bad || last < second / 2 }' <<<"$PIECES"
	}
	client firefox firefox-esr
	plays
	records
	result remark "headless; puts some silence into the first second of what it records"
}

try() {
	chromium
	firefox
	suspends
}
