/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `viommu run` sees of a QEMU, without one: firmware that puts the units' BARs somewhere,
 * result lines, an end.
 *
 * FAKE_BASES: addresses for the first unit's BAR, one per start, separated by commas (the last one
 * stays); FAKE_COUNT: a file that counts the starts; FAKE_RESULTS: a file to send as the guest's
 * result lines; FAKE_FLOOD: send more for ever; FAKE_STATUS: how to end; FAKE_HANG: do not end;
 * FAKE_TABLE: where to copy the DMAR table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"

struct machine {
	const char *results;
	char table[512];
	char sockets[8][256];
	unsigned int socket_count;
};

static void parse(struct machine *m, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *at;

		if (!strncmp(argv[i], "socket,id=results,path=", 23))
			m->results = argv[i] + 23;
		at = strstr(argv[i], "sig=DMAR");
		if (at && (at = strstr(at, "data=")))
			snprintf(m->table, sizeof(m->table), "%s", at + 5);
		at = strstr(argv[i], "\"path\":\"");
		if (at && m->socket_count < 8) {
			snprintf(m->sockets[m->socket_count], 256, "%s", at + 8);
			m->sockets[m->socket_count++][strcspn(at + 8, "\"")] = 0;
		}
	}
}

/* How many starts there were before this one. */
static unsigned int count_start(void)
{
	const char *path = getenv("FAKE_COUNT");
	FILE *file = path ? fopen(path, "a+") : NULL;
	unsigned int count = 0;

	if (!file)
		return 0;
	rewind(file);
	while (fgetc(file) != EOF)
		count++;
	fputc('x', file);
	fclose(file);
	return count;
}

static uint32_t base(unsigned int start)
{
	const char *bases = getenv("FAKE_BASES");

	if (!bases)
		return 0xe0000000;
	for (; start && strchr(bases, ','); start--)
		bases = strchr(bases, ',') + 1;
	return (uint32_t)strtoul(bases, NULL, 0);
}

/* Does the table name the place firmware chose for the first unit? The address stands behind the
 * table's fixed part and the head of its first structure, VT-d 8.1, 8.3. */
static bool placed(const char *table, uint32_t address)
{
	FILE *file = fopen(table, "rb");
	uint64_t named = 0;
	bool same = file && !fseek(file, 20, SEEK_SET) && fread(&named, 8, 1, file) == 1 &&
		    named == address;

	if (file)
		fclose(file);
	return same;
}

/* What firmware does: size, place, enable. */
static int firmware(struct client *c, const char *path, uint32_t address)
{
	uint16_t command = 0x103;

	if (client_open(c, path))
		return -1;
	client_write32(c, WIRE_REGION_CONFIG, 0x10, 0xffffffff);
	client_read32(c, WIRE_REGION_CONFIG, 0x10);
	client_write32(c, WIRE_REGION_CONFIG, 0x10, address);
	return client_write(c, WIRE_REGION_CONFIG, 4, &command, 2);
}

static void copy(const char *from, const char *to)
{
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	int byte;

	while (in && out && (byte = fgetc(in)) != EOF)
		fputc(byte, out);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
}

/* Until they are read: by then `viommu run` has looked where the units are, which it does in every
 * round of its loop, the one that takes our connection included. */
static int send_results(const struct machine *m)
{
#define LINE  "{\"event\":\"begin\",\"workload\":\"w\"}\n"
#define LINES LINE LINE LINE LINE LINE LINE LINE LINE
	static const char flood[] = LINES LINES LINES LINES LINES LINES LINES LINES;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("FAKE_RESULTS");
	FILE *file = path ? fopen(path, "r") : NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), byte;

	strncpy(address.sun_path, m->results, sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return -1;
	while (file && (byte = fgetc(file)) != EOF) {
		char one = (char)byte;

		if (write(fd, &one, 1) != 1)
			break;
	}
	while (getenv("FAKE_FLOOD") && write(fd, flood, sizeof(flood) - 1) > 0)
		;
	if (file)
		fclose(file);
	shutdown(fd, SHUT_WR);
	while (read(fd, &address, sizeof(address)) > 0)
		;
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	static struct client clients[8];
	struct machine m = { 0 };
	uint32_t address;

	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("QEMU emulator version 11.1.3 (a fake)\n");
		return 0;
	}
	parse(&m, argc, argv);
	if (!m.results || !m.table[0] || !m.socket_count) {
		fprintf(stderr, "fake-qemu: the command line lacks something\n");
		return 9;
	}
	address = base(count_start());
	printf("fake console\n");
	fflush(stdout);
	for (unsigned int i = 0; i < m.socket_count; i++)
		if (firmware(&clients[i], m.sockets[i],
			     strstr(m.sockets[i], "unit") ? address - i * 0x10000000 : 0xfe000000))
			return 8;
	/* A kernel would take a while to start; `viommu run` ends us before, if the table is wrong. */
	while (!placed(m.table, address))
		pause();
	if (getenv("FAKE_TABLE"))
		copy(m.table, getenv("FAKE_TABLE"));
	if (send_results(&m))
		return 7;
	while (getenv("FAKE_HANG"))
		pause();
	return getenv("FAKE_STATUS") ? atoi(getenv("FAKE_STATUS")) : 0;
}
