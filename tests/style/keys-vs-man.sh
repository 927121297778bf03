#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The keys that xaring-pw and the plugin say they accept are those of their manual pages.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1

BACKEND=$XARING_BUILD/pw-backend/xaring-pw
PLUGIN=$XARING_BUILD/alsa-plugin/libasound_module_pcm_xen.so

dir=$(mktemp -d "${TMPDIR:-/tmp}/xaring-test.XXXXXX") || exit 1
at_exit "rm -rf '$dir'"

# refusal TEXT: what xaring-pw says to a configuration that holds the key "nonsense".
refusal() {
	echo "$1" >"$dir/xaring-pw.conf"
	# It never gets as far as listening.
	timeout 10 "$BACKEND" --config-dir "$dir" --runtime-dir "$dir/run" --pipewire "$dir/none" 2>&1
	[ $? -eq 2 ] || echo "exit code is not 2"
}

# accepted: the keys in a sentence "... is refused: a, b and c are accepted".
accepted() {
	sed -nE 's/.*nonsense.* is refused: (.*) (is|are) accepted$/\1/p' | sed 's/ and /\n/; s/, /\n/g' | sort
}

# of_manual PAGE HEADING: keys at the left edge of a section, up to the next heading.
of_manual() {
	sed -nE "/^#+ $2/,/^#+ [^ ]/p" "man/$1" | sed -n '2,$p' | grep -v ' read by ' | grep -E '^\*[a-z.*-]+\*(, \*| =|$)' |
		grep -oE '\*[a-z][a-z.-]+\*' | tr -d '*' | sort
}

# compare TEXT CONFIGURATION HEADING
compare() {
	check_number "$1: keys in the manual" "$(of_manual xaring-pw.conf.5.scd "$3" | wc -l)" -ge 1
	diff <(refusal "$2" | accepted) <(of_manual xaring-pw.conf.5.scd "$3") |
		none "$1: the same in xaring-pw and in xaring-pw.conf(5)"
}

if [ -e "$BACKEND" ]; then
	compare "xaring.properties" 'xaring.properties = { nonsense = 1 }' PROPERTIES
	compare "xaring.vms" 'xaring.vms = [ { nonsense = 1 } ]' VMS
	compare "xaring.rules, matches" 'xaring.rules = [ { matches = [ { nonsense = 1 } ] } ]' RULES
	compare "xaring.rules, policy" 'xaring.rules = [ { actions = { policy = { nonsense = 1 } } } ]' policy
	# The worker meets these when it makes a node; here its table does.
	diff <(sed -n '/settable\[\] = {/,/};/p' pw-backend/worker/looks.c | grep -oE '"[a-z.-]+"' |
		tr -d '"' | sort) \
		<({ of_manual xaring-pw.conf.5.scd update-props && echo state.; } | sort) |
		none "xaring.rules, update-props: the same in the worker and in xaring-pw.conf(5)"
	grep -q '^\*state\.\*' man/xaring-pw.conf.5.scd && pass "state.* is in xaring-pw.conf(5)" ||
		fail "state.* is in xaring-pw.conf(5)"
else
	note "the backend is not built"
fi

if [ -e "$PLUGIN" ] && command -v aplay >/dev/null; then
	cat >"$dir/asound.conf" <<-END
		pcm_type.xen { lib "$PLUGIN" }
		pcm.bad { type xen nonsense 1 }
	END
	diff <(ALSA_CONFIG_PATH=$dir/asound.conf aplay -D bad -d 1 -f cd /dev/null 2>&1 |
		sed -nE 's/.*nonsense.*accepted is (.*)$/\1/p' | sed 's/, /\n/g; s/ STRING//g' | sort) \
		<(sed -nE '/^# PARAMETERS/,/^The device/s/^(\*[a-z*, ]+\*)( _STRING_)?$/\1/p' man/xaring-pcm.7.scd |
			grep -oE '[a-z]+' | sort) |
		none "type xen: the same in the plugin and in xaring-pcm(7)"
else
	note "the plugin is not built, or aplay is not installed"
fi
check_end
