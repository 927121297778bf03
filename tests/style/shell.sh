#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The scripts are clean for shellcheck.

. "$XARING_SOURCE/tests/style/style.sh" || exit 1
need shellcheck

scripts() {
	tree '*.sh'
	tree | xargs grep -lE '^#!.*\b(ba|da)?sh\b' | grep -v '\.sh$'
}

# What is sourced is a script of its own here; variables of one are used in the other.
scripts | sort -u | xargs shellcheck --severity=warning --exclude=SC1091,SC2034 -f gcc |
	none "shellcheck finds nothing"
check_end
