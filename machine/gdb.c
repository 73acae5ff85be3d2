/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GDB's remote serial protocol: registers, memory, breakpoints, stepping, one thread for each hart.
 *
 * The debugger is served between slices: while it wants the machine to run, rounds are short and
 * its socket is looked at after each; breakpoints are kept as addresses and compared before every
 * instruction, so memory is never patched. Packets are limited and everything in them is parsed
 * with bounds.
 */
#include "gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PACKET	    4096
#define FIRST_CSR   65
#define LAST_WORDS  2000 /* ms */
#define BREAKPOINTS 64
#define REGISTERS   33 /* x0 to x31, pc */

struct gdb {
	int fd;
	struct board *board;
	char packet[PACKET + 1];
	char reply[2 * PACKET + 1];
	uint64_t breakpoint[BREAKPOINTS];
	unsigned int breakpoints;
	unsigned int hart; /* of g, m and s */
	bool running, stepping;
	uint8_t in[PACKET];
	size_t in_length, in_at;
};

static const char digits[] = "0123456789abcdef";

static int listen_on(const char *where, int *out)
{
	char *end;
	unsigned long port = strtoul(where, &end, 10);
	bool tcp = !*end && end != where && port && port < 65536;
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int one = 1, fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (!tcp && strlen(where) >= sizeof(un.sun_path)) {
		close(fd);
		return -ENAMETOOLONG;
	}
	strncpy(un.sun_path, where, sizeof(un.sun_path) - 1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, tcp ? (struct sockaddr *)&in : (struct sockaddr *)&un,
		 tcp ? sizeof(in) : sizeof(un)) ||
	    listen(fd, 1)) {
		int error = errno;

		close(fd);
		return -error;
	}
	*out = fd;
	return 0;
}

int gdb_attach(struct board *board, const char *where)
{
	struct gdb *g = calloc(1, sizeof(*g));
	int listener = -1, r = g ? listen_on(where, &listener) : -ENOMEM;

	if (r) {
		fprintf(stderr, "viommu riscv: --gdb %s: %s\n", where, strerror(-r));
		free(g);
		return r;
	}
	fprintf(stderr, "viommu riscv: waiting for a debugger on %s\n", where);
	g->fd = accept(listener, NULL, NULL);
	r = g->fd < 0 ? -errno : 0;
	close(listener);
	if (strspn(where, "0123456789") != strlen(where))
		unlink(where);
	if (r) {
		free(g);
		return r;
	}
	g->board = board;
	board->gdb = g;
	for (unsigned int i = 0; i < board->harts; i++)
		board->hart[i]->debug = g;
	return 0;
}

static int get_byte(struct gdb *g)
{
	if (g->in_at == g->in_length) {
		ssize_t n = read(g->fd, g->in, sizeof(g->in));

		if (n <= 0)
			return -1;
		g->in_length = (size_t)n;
		g->in_at = 0;
	}
	return g->in[g->in_at++];
}

static bool write_all(struct gdb *g, const char *data, size_t length)
{
	while (length) {
		ssize_t n = send(g->fd, data, length, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		length -= (size_t)n;
	}
	return true;
}

static bool answer(struct gdb *g, const char *text)
{
	char frame[2 * PACKET + 8];
	uint8_t sum = 0;
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		sum += (uint8_t)text[i];
	frame[0] = '$';
	memcpy(frame + 1, text, n);
	frame[n + 1] = '#';
	frame[n + 2] = digits[sum >> 4];
	frame[n + 3] = digits[sum & 15];
	return write_all(g, frame, n + 4);
}

static int hex_digit(int c)
{
	const char *p = c ? strchr(digits, c | 0x20) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* A packet in g->packet: 1; 2: the interrupt byte; -1: the debugger went away. */
static int receive(struct gdb *g)
{
	size_t n = 0;
	int c;

	for (;;) {
		c = get_byte(g);
		if (c < 0)
			return -1;
		if (c == 3)
			return 2;
		if (c != '$')
			continue;
		n = 0;
		while ((c = get_byte(g)) >= 0 && c != '#')
			if (n < PACKET)
				g->packet[n++] = (char)c;
		if (c < 0 || get_byte(g) < 0 || get_byte(g) < 0)
			return -1;
		g->packet[n] = 0;
		return write_all(g, "+", 1) ? 1 : -1;
	}
}

static void put_hex(char *out, const void *data, size_t length)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < length; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * length] = 0;
}

static bool get_hex(const char *in, void *data, size_t length)
{
	uint8_t *p = data;

	for (size_t i = 0; i < length; i++) {
		int high = hex_digit(in[2 * i]), low = high < 0 ? -1 : hex_digit(in[2 * i + 1]);

		if (low < 0)
			return false;
		p[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static uint64_t *reg_pointer(struct hart *h, unsigned int n)
{
	if (n < 32)
		return &h->s.x[n];
	if (n == 32)
		return &h->s.pc;
	return n < 65 ? &h->s.f[n - 33] : NULL;
}

static void read_registers(struct gdb *g)
{
	struct hart *h = g->board->hart[g->hart];

	for (unsigned int i = 0; i < REGISTERS; i++)
		put_hex(g->reply + 16 * i, reg_pointer(h, i), 8);
}

static void write_registers(struct gdb *g, const char *text)
{
	struct hart *h = g->board->hart[g->hart];
	uint64_t v;

	strcpy(g->reply, "E01");
	for (unsigned int i = 0; i < REGISTERS; i++) {
		if (!get_hex(text + 16 * i, &v, 8))
			return;
		if (i)
			*reg_pointer(h, i) = i == 32 ? v & ~1ull : v;
	}
	strcpy(g->reply, "OK");
}

/* Registers from 65 are CSRs, as the RISC-V target description numbers them. */
static void read_register(struct gdb *g, unsigned int n)
{
	struct hart *h = g->board->hart[g->hart];
	struct csr_access a = { .csr = n - FIRST_CSR };
	uint64_t *p = reg_pointer(h, n), v = h->s.privilege;

	if (!p && n == FIRST_CSR + 4096) /* the virtual register "priv" */
		p = &v;
	if (!p && n >= FIRST_CSR && n < FIRST_CSR + 4096 && !csr_perform(h, &a))
		p = &a.old;
	if (p)
		put_hex(g->reply, p, 8);
	else
		strcpy(g->reply, "E01");
}

static void write_register(struct gdb *g, unsigned int n, const char *text)
{
	struct hart *h = g->board->hart[g->hart];
	struct csr_access a = { .csr = n - FIRST_CSR, .operation = CSR_WRITE, .write = true };
	uint64_t *p = reg_pointer(h, n);

	strcpy(g->reply, "E01");
	if (!get_hex(text, &a.value, 8))
		return;
	if (p)
		*p = !n ? 0 : n == 32 ? a.value & ~1ull : a.value; /* no odd pc, as in mepc */
	else if (n < FIRST_CSR || n >= FIRST_CSR + 4096 || csr_perform(h, &a) == 1)
		return;
	strcpy(g->reply, "OK");
}

/* Memory as the hart sees it, page by page. */
static bool transfer(struct gdb *g, uint64_t va, uint8_t *data, size_t length, bool write)
{
	struct board *b = g->board;

	while (length) {
		size_t n = 4096 - (va & 4095) < length ? 4096 - (va & 4095) : length;
		uint64_t pa;

		if (!hart_debug_translate(b->hart[g->hart], va, &pa) ||
		    (write ? viommu_memory_write(b->memory, pa, data, n)
			   : viommu_memory_read(b->memory, pa, data, n)))
			return false;
		if (write)
			code_written(b->code, pa, n);
		va += n;
		data += n;
		length -= n;
	}
	return true;
}

static void memory_packet(struct gdb *g, bool write)
{
	uint8_t data[PACKET / 2];
	char *end;
	uint64_t va = strtoull(g->packet + 1, &end, 16);
	size_t length = *end == ',' ? strtoull(end + 1, &end, 16) : SIZE_MAX;

	strcpy(g->reply, "E01");
	if (length > sizeof(data))
		return;
	if (write) {
		if (*end == ':' && get_hex(end + 1, data, length) &&
		    transfer(g, va, data, length, true))
			strcpy(g->reply, "OK");
	} else if (transfer(g, va, data, length, false)) {
		put_hex(g->reply, data, length);
	}
}

static void breakpoint_packet(struct gdb *g, bool insert)
{
	uint64_t at = strtoull(g->packet + 3, NULL, 16);

	if (g->packet[1] != '0' && g->packet[1] != '1') { /* no watchpoints */
		*g->reply = 0;
		return;
	}
	for (unsigned int i = 0; i < g->breakpoints; i++)
		if (g->breakpoint[i] == at)
			g->breakpoint[i--] = g->breakpoint[--g->breakpoints];
	if (insert && g->breakpoints == BREAKPOINTS) {
		strcpy(g->reply, "E01");
		return;
	}
	if (insert)
		g->breakpoint[g->breakpoints++] = at;
	strcpy(g->reply, "OK");
}

/* Appends to the description while there is room: there is. */
struct text {
	char bytes[12288];
	size_t length;
};

static __attribute__((format(printf, 2, 3))) void add(struct text *t, const char *format, ...)
{
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(t->bytes + t->length, sizeof(t->bytes) - t->length, format, list);
	va_end(list);
	if (n > 0 && (size_t)n < sizeof(t->bytes) - t->length)
		t->length += (size_t)n;
}

static void add_csr(struct text *t, const char *name, unsigned int csr)
{
	add(t, "<reg name=\"%s\" bitsize=\"64\" regnum=\"%u\"/>", name, FIRST_CSR + csr);
}

/* The target description, so that a debugger needs no configuration; *length is that of the text.
 * A program that uses floating point registers is refused by a debugger that sees none. */
static const char *description(size_t *length)
{
	static const struct {
		const char *name;
		unsigned int csr;
	} csrs[] = {
		{ "sstatus", 0x100 }, { "sie", 0x104 },	   { "stvec", 0x105 },	  { "sscratch", 0x140 },
		{ "sepc", 0x141 },    { "scause", 0x142 }, { "stval", 0x143 },	  { "sip", 0x144 },
		{ "satp", 0x180 },    { "mstatus", 0x300 }, { "misa", 0x301 },	  { "medeleg", 0x302 },
		{ "mideleg", 0x303 }, { "mie", 0x304 },	   { "mtvec", 0x305 },	  { "mscratch", 0x340 },
		{ "mepc", 0x341 },    { "mcause", 0x342 }, { "mtval", 0x343 },	  { "mip", 0x344 },
		{ "pmpcfg0", 0x3a0 }, { "pmpaddr0", 0x3b0 }, { "mcycle", 0xb00 }, { "minstret", 0xb02 },
		{ "mhartid", 0xf14 },
	};
	static struct text t;

	t.length = 0;
	add(&t, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
		"<architecture>riscv:rv64</architecture><feature name=\"org.gnu.gdb.riscv.cpu\">");
	for (unsigned int i = 0; i < 32; i++)
		add(&t, "<reg name=\"x%u\" bitsize=\"64\" regnum=\"%u\"/>", i, i);
	add(&t, "<reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\" regnum=\"32\"/></feature>"
		"<feature name=\"org.gnu.gdb.riscv.fpu\">");
	for (unsigned int i = 0; i < 32; i++)
		add(&t, "<reg name=\"f%u\" bitsize=\"64\" type=\"ieee_double\" regnum=\"%u\"/>", i,
		    33 + i);
	add_csr(&t, "fflags", 1);
	add_csr(&t, "frm", 2);
	add_csr(&t, "fcsr", 3);
	add(&t, "</feature><feature name=\"org.gnu.gdb.riscv.csr\">");
	for (unsigned int i = 0; i < sizeof(csrs) / sizeof(csrs[0]); i++)
		add_csr(&t, csrs[i].name, csrs[i].csr);
	add(&t, "</feature><feature name=\"org.gnu.gdb.riscv.virtual\">"
		"<reg name=\"priv\" bitsize=\"64\" regnum=\"%u\"/></feature></target>",
	    FIRST_CSR + 4096);
	*length = t.length;
	return t.bytes;
}

/* qXfer:features:read:target.xml:offset,length */
static void transfer_description(struct gdb *g, const char *range)
{
	size_t total, offset, wanted;
	char *end;
	const char *text = description(&total);

	offset = strtoull(range, &end, 16);
	wanted = *end == ',' ? strtoull(end + 1, NULL, 16) : 0;
	if (wanted > PACKET)
		wanted = PACKET;
	if (offset >= total) {
		strcpy(g->reply, "l");
		return;
	}
	if (wanted > total - offset)
		wanted = total - offset;
	g->reply[0] = offset + wanted == total ? 'l' : 'm';
	memcpy(g->reply + 1, text + offset, wanted);
	g->reply[1 + wanted] = 0;
}

static void query_packet(struct gdb *g)
{
	static const char features[] = "qXfer:features:read:target.xml:";
	size_t n = 0;

	*g->reply = 0;
	if (!strncmp(g->packet, "qSupported", 10)) {
		strcpy(g->reply, "PacketSize=1000;qXfer:features:read+");
	} else if (!strncmp(g->packet, features, sizeof(features) - 1)) {
		transfer_description(g, g->packet + sizeof(features) - 1);
	} else if (!strcmp(g->packet, "qfThreadInfo")) {
		g->reply[n++] = 'm';
		for (unsigned int i = 0; i < g->board->harts; i++)
			n += (size_t)sprintf(g->reply + n, "%s%x", i ? "," : "", i + 1);
	} else if (!strcmp(g->packet, "qsThreadInfo")) {
		strcpy(g->reply, "l");
	} else if (!strcmp(g->packet, "qC")) {
		sprintf(g->reply, "QC%x", g->hart + 1);
	} else if (!strncmp(g->packet, "qAttached", 9)) {
		strcpy(g->reply, "1");
	}
}

static void select_thread(struct gdb *g)
{
	long n = strtol(g->packet + 2, NULL, 16);

	if (n > 0 && n <= (long)g->board->harts)
		g->hart = (unsigned int)n - 1;
	strcpy(g->reply, "OK");
}

/* One packet; false: the debugger wants the machine gone. */
static bool handle(struct gdb *g)
{
	char *end;
	unsigned long n;

	*g->reply = 0;
	switch (g->packet[0]) {
	case '?':
		sprintf(g->reply, "T05thread:%x;", g->hart + 1);
		break;
	case 'g':
		read_registers(g);
		break;
	case 'G':
		write_registers(g, g->packet + 1);
		break;
	case 'p':
		read_register(g, (unsigned int)strtoul(g->packet + 1, NULL, 16));
		break;
	case 'P':
		n = strtoul(g->packet + 1, &end, 16);
		write_register(g, (unsigned int)n, *end == '=' ? end + 1 : "");
		break;
	case 'm':
		memory_packet(g, false);
		break;
	case 'M':
		memory_packet(g, true);
		break;
	case 'Z':
		breakpoint_packet(g, true);
		break;
	case 'z':
		breakpoint_packet(g, false);
		break;
	case 'H':
		select_thread(g);
		break;
	case 'T':
		strcpy(g->reply, "OK");
		break;
	case 'q':
		query_packet(g);
		break;
	case 'c':
		g->running = true;
		return true;
	case 's':
		g->running = g->stepping = true;
		return true;
	case 'D':
		answer(g, "OK");
		gdb_detach(g->board, 0);
		return true;
	case 'k':
		return false;
	}
	return answer(g, g->reply);
}

static bool at_breakpoint(const struct gdb *g, const struct hart *h)
{
	for (unsigned int i = 0; i < g->breakpoints; i++)
		if (g->breakpoint[i] == h->s.pc)
			return true;
	return false;
}

static bool stopped(struct gdb *g, unsigned int hart, int signal)
{
	char text[32];

	g->running = g->stepping = false;
	g->hart = hart;
	sprintf(text, "T%02xthread:%x;", (unsigned int)signal, hart + 1);
	return answer(g, text);
}

static bool interrupted(struct gdb *g)
{
	struct pollfd fd = { .fd = g->fd, .events = POLLIN };

	return g->in_at < g->in_length || poll(&fd, 1, 0) > 0;
}

/* Run until a breakpoint, an ebreak, a step or the debugger's interrupt; false: the run is over. */
static bool run_some(struct gdb *g)
{
	struct board *b = g->board;
	bool fine = g->breakpoints || g->stepping;

	board_single_step(b, fine);
	for (unsigned int i = 0; i < (fine ? 20000u : 20u); i++) {
		if (!board_round(b, fine ? 1 : 100000))
			return false;
		for (unsigned int k = 0; k < b->harts; k++)
			if (at_breakpoint(g, b->hart[k]) || b->hart[k]->stop)
				return stopped(g, k, 5);
		if (g->stepping)
			return stopped(g, g->hart, 5);
	}
	return true;
}

bool gdb_turn(struct board *b)
{
	struct gdb *g = b->gdb;
	int r;

	uart_flush(b->uart);
	if (g->running && !interrupted(g))
		return run_some(g);
	r = receive(g);
	if (r < 0) {
		gdb_detach(b, 0);
		return true;
	}
	if (r == 2)
		return g->running ? stopped(g, g->hart, 2) : true;
	if (!handle(g)) {
		board_exit(b, 0);
		return false;
	}
	return true;
}

/* A debugger acknowledges the last packet and hangs up: were the connection gone before that, it
 * would report an error instead of the packet. */
static void wait_for_hangup(const struct gdb *g)
{
	struct pollfd fd = { .fd = g->fd, .events = POLLIN };
	char byte;

	while (poll(&fd, 1, LAST_WORDS) > 0 && read(g->fd, &byte, 1) > 0 && byte != '+')
		;
	while (poll(&fd, 1, LAST_WORDS) > 0 && read(g->fd, &byte, 1) > 0)
		;
}

void gdb_detach(struct board *b, int status)
{
	struct gdb *g = b->gdb;
	char text[8];

	if (!g)
		return;
	if (g->running) {
		snprintf(text, sizeof(text), "W%02x", (unsigned int)status & 0xff);
		if (answer(g, text))
			wait_for_hangup(g);
	}
	for (unsigned int i = 0; i < b->harts; i++)
		b->hart[i]->debug = NULL;
	board_single_step(g->board, false);
	close(g->fd);
	free(g);
	b->gdb = NULL;
}
