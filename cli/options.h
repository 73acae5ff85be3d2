/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a user asks for: units and devices by name, as serve, run and inspect take them.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <viommu/unit.h>

#include "devices/device.h"

#define SPEC_UNITS    8
#define SPEC_DEVICES  32
#define SPEC_SETTINGS 16
#define SPEC_TEXT     512

/* The window of a unit's BAR; only its first page is live. */
#define UNIT_BAR_SIZE 0x10000000u
/* Where firmware of the q35 machine puts the first BAR of that size. */
#define UNIT_BASE_DEFAULT 0xe0000000u

enum exit_status {
	EXIT_PASS = 0,
	EXIT_FAIL = 1,
	EXIT_USAGE = 2,
	EXIT_TIMEOUT = 124,
};

struct unit_spec {
	struct viommu_unit_options options;
	uint8_t devfn; /* device << 3 | function, on bus 0 */
	uint64_t base;
	char text[SPEC_TEXT]; /* as given */
};

struct device_spec {
	const struct device_kind *kind;
	uint8_t devfn;
	unsigned int unit;
	char *socket; /* NULL: a name in the socket directory */
	struct device_setting settings[SPEC_SETTINGS];
	unsigned int setting_count;
	char text[SPEC_TEXT];
	char *words; /* storage of the settings */
};

struct spec {
	struct unit_spec units[SPEC_UNITS];
	unsigned int unit_count;
	struct device_spec devices[SPEC_DEVICES];
	unsigned int device_count;
	bool mute; /* --no-messages */
};

/*
 * Add what `--unit TEXT` or `--device TEXT` means. 0, or -EINVAL with one sentence in `message`:
 * the option, the value and what is allowed.
 */
int spec_add_unit(struct spec *spec, const char *text, char *message, size_t length);
int spec_add_device(struct spec *spec, const char *text, char *message, size_t length);
/* Fill in what was not said (a unit; a dsa and a testdev) and check everything together. */
int spec_finish(struct spec *spec, char *message, size_t length);
void spec_free(struct spec *spec);
/* The help text of --unit and --device. */
void spec_help(void);

/* A number with an optional K, M or G behind it. -EINVAL. */
int parse_size(const char *text, uint64_t *value);
/* A whole number from `low` to `high`, decimal or 0x. -EINVAL. */
int parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *value);

/* One subcommand each: argv[0] is "viommu NAME". The result is the exit status. */
int command_serve(int argc, char **argv);
int command_run(int argc, char **argv);
int command_ctl(int argc, char **argv);
int command_inspect(int argc, char **argv);
/* Only where they are built (cli/meson.build). */
int command_riscv(int argc, char **argv);
int command_bench(int argc, char **argv);

#endif
