/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What QEMU must be told: memory that can be shared, one vfio-user-pci device per function, and the
 * DMAR table that says where the units are.
 */
#include "qemu.h"

#include "daemon.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void words_add(struct words *words, const char *format, ...)
{
	char **grown = reallocarray(words->list, words->count + 2, sizeof(*grown));
	va_list args;

	if (!grown) {
		words->failed = true;
		return;
	}
	words->list = grown;
	va_start(args, format);
	if (vasprintf(&words->list[words->count], format, args) < 0)
		words->failed = true;
	else
		words->count++;
	va_end(args);
	words->list[words->count] = NULL;
}

void words_free(struct words *words)
{
	for (unsigned int i = 0; i < words->count; i++)
		free(words->list[i]);
	free(words->list);
	*words = (struct words){ 0 };
}

/* A value in a list of QEMU's: NAME=VALUE,... where a comma in the value is written twice. */
static char *list_value(const char *text)
{
	char *value = malloc(2 * strlen(text) + 1), *at = value;

	for (; value && *text; text++) {
		if (*text == ',')
			*at++ = ',';
		*at++ = *text;
	}
	if (value)
		*at = 0;
	return value;
}

/* BEFORE, the text as a value in a list, AFTER. */
static void add_list(struct words *words, const char *before, const char *text, const char *after)
{
	char *value = list_value(text);

	if (value)
		words_add(words, "%s%s%s", before, value, after);
	else
		words->failed = true;
	free(value);
}

/*
 * QEMU waits 5 s for an answer. Behind a physical function a map pins the guest's memory, which
 * takes as long as the host needs to give it: then it is to wait ten minutes.
 */
static void add_function(struct words *words, uint8_t devfn, const char *path, bool pins)
{
	char address[8], *text;
	json_t *device;

	snprintf(address, sizeof(address), "%02x.%u", devfn >> 3, devfn & 7);
	device = json_pack("{s:s, s:s, s:{s:s, s:s}}", "driver", "vfio-user-pci", "addr", address,
			   "socket", "type", "unix", "path", path);
	if (pins)
		json_object_set_new(device, "x-msg-timeout", json_integer(600000));
	text = device ? json_dumps(device, JSON_COMPACT) : NULL;
	json_decref(device);
	words_add(words, "-device");
	if (text)
		words_add(words, "%s", text);
	else
		words->failed = true; /* or the path is not UTF-8 */
	free(text);
}

static bool pins_memory(const struct spec *spec)
{
	for (unsigned int i = 0; i < spec->device_count; i++)
		if (spec->devices[i].kind == &device_vfio)
			return true;
	return false;
}

static void add_functions(struct words *words, const struct spec *spec, const char *directory)
{
	bool pins = pins_memory(spec);
	char path[256];

	for (unsigned int i = 0; i < spec->unit_count; i++) {
		unit_socket(spec, i, directory, path, sizeof(path));
		add_function(words, spec->units[i].devfn, path, pins);
	}
	for (unsigned int i = 0; i < spec->device_count; i++) {
		device_socket(spec, i, directory, path, sizeof(path));
		add_function(words, spec->devices[i].devfn, path, pins);
	}
}

static void add_guest(struct words *words, const struct qemu_options *o)
{
	if (o->kernel) {
		words_add(words, "-kernel");
		words_add(words, "%s", o->kernel);
	}
	if (o->initrd) {
		words_add(words, "-initrd");
		words_add(words, "%s", o->initrd);
	}
	if (o->append) {
		words_add(words, "-append");
		words_add(words, "%s", o->append);
	}
	if (o->disk) {
		const char *dot = strrchr(o->disk, '.');

		words_add(words, "-drive");
		add_list(words, "file=", o->disk,
			 dot && !strcmp(dot, ".qcow2") ? ",if=virtio,format=qcow2"
						       : ",if=virtio,format=raw");
	}
}

void qemu_words(struct words *words, const struct spec *spec, const struct qemu_options *o)
{
	unsigned long long megabytes = o->memory >> 20;

	words_add(words, "%s", o->binary);
	words_add(words, "-accel");
	words_add(words, "%s", o->accel);
	words_add(words, "-machine");
	words_add(words, "q35,memory-backend=ram");
	words_add(words, "-cpu");
	words_add(words, "%s", !strcmp(o->accel, "kvm") ? "host" : "max");
	words_add(words, "-smp");
	words_add(words, "%u", o->cpus);
	words_add(words, "-m");
	words_add(words, "%lluM", megabytes);
	words_add(words, "-object");
	words_add(words, "memory-backend-memfd,id=ram,size=%lluM,share=on", megabytes);
	words_add(words, "-nodefaults");
	words_add(words, "-nographic");
	words_add(words, "-serial");
	words_add(words, "stdio");
	if (o->results) {
		words_add(words, "-chardev");
		add_list(words, "socket,id=results,path=", o->results, "");
		words_add(words, "-serial");
		words_add(words, "chardev:results");
	}
	if (!o->reboot)
		words_add(words, "-no-reboot");
	if (o->dmar) {
		words_add(words, "-acpitable");
		add_list(words,
			 "sig=DMAR,rev=1,oem_id=VIOMMU,oem_table_id=VIOMMU00,oem_rev=1,data=",
			 o->dmar, "");
	}
	add_functions(words, spec, o->directory);
	add_guest(words, o);
	for (char **extra = o->extra; extra && *extra; extra++)
		words_add(words, "%s", *extra);
}

/* One word as a shell reads it. */
static void print_word(const char *word)
{
	if (*word &&
	    !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			       "-_=.,:/+%@")]) {
		fputs(word, stdout);
		return;
	}
	putchar('\'');
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*word);
	}
	putchar('\'');
}

int qemu_print(const struct spec *spec, const char *directory, const char *dmar)
{
	struct qemu_options options = {
		.binary = "qemu-system-x86_64",
		.accel = "tcg",
		.memory = UINT64_C(3) << 30,
		.cpus = 2,
		.kernel = "KERNEL",
		.initrd = "INITRD",
		.append = "console=ttyS0 setcpuid=movdir64b,enqcmd",
		.dmar = dmar ? dmar : "DMAR-FILE",
		.directory = directory,
	};
	struct words words = { 0 };

	qemu_words(&words, spec, &options);
	if (words.failed) {
		words_free(&words);
		return EXIT_FAIL;
	}
	for (unsigned int i = 0; i < words.count; i++) {
		if (i && words.list[i][0] == '-')
			fputs(" \\\n  ", stdout);
		else if (i)
			putchar(' ');
		print_word(words.list[i]);
	}
	putchar('\n');
	words_free(&words);
	return EXIT_PASS;
}

static void run_version(const char *binary, int out)
{
	dup2(out, STDOUT_FILENO);
	execlp(binary, binary, "--version", (char *)NULL);
	_exit(127);
}

int qemu_version(const char *binary, unsigned int *major, unsigned int *minor)
{
	char text[512] = "";
	const char *number;
	size_t length = 0;
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	if (pipe(fds))
		return -errno;
	pid = fork();
	if (!pid)
		run_version(binary, fds[1]);
	close(fds[1]);
	while (pid > 0 && length < sizeof(text) - 1 &&
	       (got = read(fds[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 127)
		return -ENOENT;
	number = strstr(text, "version ");
	if (!number || sscanf(number, "version %u.%u", major, minor) != 2)
		return -EINVAL;
	return 0;
}
