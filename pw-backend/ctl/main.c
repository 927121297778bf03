/* SPDX-License-Identifier: MIT */
/*
 * xaringctl: shows and steers what virtual machines play and record. Knows nothing but what it asks for.
 */
#include <locale.h>

#include "commands.h"
#include "options.h"

int main(int argc, char **argv)
{
	struct options options;
	int code;

	setlocale(LC_ALL, "");
	code = options_parse(&options, argc, argv);
	return code >= 0 ? code : commands_run(&options);
}
