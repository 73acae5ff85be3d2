/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile driver for the two emulated devices: register writes of any width, descriptors right
 * and wrong, half-written portals, page requests never answered, resets, features coming and going,
 * stops, and their own saved state with bytes changed.
 *
 * An input is a program: one byte chooses an action, what follows are its operands. Checked,
 * besides memory errors and hangs: a stopped device is idle, what was saved loads, damaged state
 * loads or is refused, and after a reset the device executes a no-op.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/dsa/dsa.h"
#include "devices/dsa/spec.h"
#include "devices/testdev/testdev.h"
#include "vtd/kit.h"

enum { PASID = 1, PAGES = 16, TESTDEV_RID = 0x18, LIMIT = 300 };
#define IOVA 0x7f0000000000ull
#define GPA  0x100000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct driver {
	struct kit box;
	struct dsa *dsa;
	struct testdev *testdev;
	const uint8_t *data;
	size_t size;
};

#define require(condition)                                                              \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static void on_interrupt(void *opaque, unsigned int vector)
{
	require(vector <= 8);
}

static const struct dsa_ops dsa_ops = { .interrupt = on_interrupt };
static const struct testdev_ops testdev_ops = { .interrupt = on_interrupt };

static void take(struct driver *d, void *to, size_t length)
{
	size_t have = length < d->size ? length : d->size;

	memset(to, 0, length);
	memcpy(to, d->data, have);
	d->data += have;
	d->size -= have;
}

static uint32_t number(struct driver *d, uint32_t below)
{
	uint16_t value;

	take(d, &value, sizeof(value));
	return value % below;
}

static void put32(struct driver *d, uint64_t offset, uint32_t value)
{
	dsa_write(d->dsa, offset, &value, sizeof(value));
}

/* What an honest driver would do, so that the dishonest part reaches something. */
static void configure(struct driver *d)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t wq = DSA_WQCFG + 64 * i;

		put32(d, wq, 16);
		put32(d, wq + 4, i ? 8 : 0);
		put32(d, wq + 8,
		      (i ? 0 : DSA_WQ_DEDICATED | PASID << 8) | DSA_WQ_BLOCK_ON_FAULT |
			      DSA_WQ_PASID_ENABLE);
		put32(d, wq + 12, 21 | 5 << 5);
		for (unsigned int word = 8; word < 16; word++)
			put32(d, wq + 4 * word, ~0u);
	}
	put32(d, DSA_GRPCFG, 3);
	put32(d, DSA_GRPCFG + 32, 3);
	put32(d, DSA_CMD, DSA_ENABLE_DEVICE << 20);
	put32(d, DSA_CMD, DSA_ENABLE_WQ << 20);
	put32(d, DSA_CMD, DSA_ENABLE_WQ << 20 | 1);
}

static void features(struct driver *d, uint32_t set)
{
	dsa_features(d->dsa, set & 0x1f, !(set & 0x20));
	testdev_features(d->testdev, set >> 6 & 0x1f, !(set & 0x20));
}

static struct driver *driver(void)
{
	static struct driver *d;
	struct dsa_options options;
	uint64_t root;

	if (d)
		return d;
	d = calloc(1, sizeof(*d));
	require(d);
	kit_create(&d->box, NULL);
	viommu_endpoint_destroy(d->box.endpoint);
	d->box.endpoint = NULL;
	dsa_options_init(&options);
	options.engines = 2;
	options.page_timeout_ms = 1;
	require(!dsa_create(&options, d->box.unit, KIT_RID, &dsa_ops, d, &d->dsa));
	require(!testdev_create(d->box.unit, TESTDEV_RID, 1, &testdev_ops, d, &d->testdev));
	root = kit_setup_first(&d->box, PASID, 4);
	for (unsigned int i = 0; i < PAGES; i++)
		kit_map_first(&d->box, root, 4, IOVA + 4096 * i, 1,
			      (GPA + 4096 * i) | FS_US | (i % 5 == 4 ? 0 : FS_P) |
				      (i % 3 == 2 ? 0 : FS_RW));
	kit_start(&d->box, TTM_SCALABLE);
	kit_write(&d->box, REG_PQA, 8, kit_pages(&d->box, 2) | 1);
	return d;
}

static void submit(struct driver *d)
{
	struct dsa_descriptor descriptor = { .pasid = PASID };
	uint64_t at = number(d, 2) * DSA_PORTAL_SIZE + number(d, 128) * 64;

	descriptor.operation = number(d, 0x22) << 24 | number(d, 0x8000);
	descriptor.record = IOVA + number(d, PAGES * 128) * 32;
	descriptor.source = IOVA + number(d, PAGES * 4096);
	descriptor.destination = IOVA + number(d, PAGES * 4096);
	descriptor.size = number(d, 20000);
	descriptor.handle = number(d, 10);
	take(d, descriptor.bytes, number(d, 25));
	if (descriptor.operation >> 24 == DSA_OP_BATCH) {
		descriptor.source &= ~63ull;
		descriptor.size %= 40;
	}
	dsa_portal_write(d->dsa, at, &descriptor, sizeof(descriptor));
}

/* Anything, at any place of BAR0 or the portals. */
static void poke(struct driver *d)
{
	uint8_t bytes[16];
	uint32_t length = 1 + number(d, 16), offset = number(d, 0x4000);

	take(d, bytes, length);
	if (number(d, 4))
		dsa_write(d->dsa, offset % 0x1100, bytes, length);
	else
		dsa_portal_write(d->dsa, offset, bytes, length);
	dsa_read(d->dsa, offset, bytes, length);
	dsa_portal_read(d->dsa, offset, bytes, length);
}

static void request(struct driver *d)
{
	uint32_t slot = number(d, TESTDEV_SLOTS), value[12];
	uint64_t iova = IOVA + number(d, PAGES * 4096);

	take(d, value, sizeof(value));
	value[0] &= number(d, 4) ? 0xff0f : ~0u;
	value[1] = number(d, 4) ? PASID : value[1];
	memcpy(value + 2, &iova, sizeof(iova));
	value[4] = number(d, 3000);
	testdev_write(d->testdev, TESTDEV_SLOT + slot * TESTDEV_SLOT_SIZE, value, sizeof(value));
	testdev_write(d->testdev, TESTDEV_DOORBELL, &slot, sizeof(slot));
}

static void poke_testdev(struct driver *d)
{
	uint8_t bytes[16];
	uint32_t length = 1 + number(d, 16), offset = number(d, 0xc000), timeout = 1;

	take(d, bytes, length);
	testdev_write(d->testdev, offset, bytes, length);
	testdev_write(d->testdev, TESTDEV_PAGE_TIMEOUT, &timeout, sizeof(timeout));
	testdev_read(d->testdev, offset, bytes, length);
}

/* Memory the devices read descriptors from. */
static void scribble(struct driver *d)
{
	uint8_t bytes[64];
	uint32_t at = number(d, PAGES * 64) * 64;

	take(d, bytes, sizeof(bytes));
	memcpy(d->box.ram + GPA + at, bytes, sizeof(bytes));
}

/* Change bytes inside the stream's fields as somebody who recomputes checksums would: write it
 * anew. */
static void reload(struct driver *d, const void *data, size_t length, const char *name, bool damage)
{
	struct viommu_stream_reader *reader;
	struct viommu_stream_writer *writer;
	const void *out;
	size_t out_length;
	uint32_t version, spoiled = number(d, 0x210);
	char message[100];
	int error;

	require(!viommu_stream_reader_create(data, length, &reader, NULL, 0));
	require(!viommu_stream_open(reader, name, 1, 1, &version));
	require(!viommu_stream_writer_create(&writer));
	viommu_stream_begin(writer, name, 1, version);
	for (uint32_t tag = 0; tag < 0x220; tag++) {
		const void *field;
		uint8_t *copy;
		size_t size;

		if (viommu_stream_get_bytes(reader, tag, &field, &size))
			continue;
		copy = malloc(size + 1);
		require(copy);
		memcpy(copy, field, size);
		for (unsigned int i = 0; damage && size && i < 4; i++)
			copy[number(d, 65535) % size] = number(d, 256);
		if (damage && spoiled == tag && size)
			size--;
		viommu_stream_put_bytes(writer, tag, copy, size);
		free(copy);
	}
	viommu_stream_end(writer);
	require(!viommu_stream_finish(writer, &out, &out_length));
	viommu_stream_reader_destroy(reader);
	require(!viommu_stream_reader_create(out, out_length, &reader, NULL, 0));
	if (*name == 'd')
		error = dsa_load(d->dsa, reader, 1, message, sizeof(message));
	else
		error = testdev_load(d->testdev, reader, 1, message, sizeof(message));
	require(!error || damage);
	viommu_stream_reader_destroy(reader);
	viommu_stream_writer_destroy(writer);
}

static void migrate(struct driver *d)
{
	bool damage = number(d, 2), which = number(d, 2);
	struct viommu_stream_writer *writer;
	const void *data;
	size_t length;

	require(!viommu_stream_writer_create(&writer));
	if (which) {
		require(!dsa_stop(d->dsa));
		require(!dsa_save(d->dsa, writer, 1));
	} else {
		require(!testdev_stop(d->testdev));
		require(!testdev_save(d->testdev, writer, 1));
	}
	require(!viommu_stream_finish(writer, &data, &length));
	reload(d, data, length, which ? "dsa" : "testdev", damage);
	viommu_stream_writer_destroy(writer);
	if (which)
		dsa_start(d->dsa);
	else
		testdev_start(d->testdev);
}

static void act(struct driver *d)
{
	switch (number(d, 16)) {
	case 0:
		features(d, number(d, 4) ? 0x7df : number(d, 0x800));
		break;
	case 1:
		dsa_reset(d->dsa);
		configure(d);
		break;
	case 2:
		testdev_reset(d->testdev);
		break;
	case 3:
		migrate(d);
		break;
	case 4:
		put32(d, DSA_CMD, number(d, 16) << 20 | number(d, 0x400));
		break;
	case 5:
	case 6:
		poke(d);
		break;
	case 7:
		poke_testdev(d);
		break;
	case 8:
	case 9:
		request(d);
		break;
	case 10:
		scribble(d);
		break;
	case 11:
		usleep(number(d, 300));
		break;
	default:
		submit(d);
		break;
	}
}

/* Whatever was done to it: reset, configured, it works. */
static void prove(struct driver *d)
{
	struct dsa_descriptor noop = { .operation = DSA_FLAG_RECORD_VALID | DSA_FLAG_REQUEST_RECORD,
				       .record = IOVA };
	uint8_t *status = d->box.ram + GPA;

	features(d, 0x7df);
	dsa_reset(d->dsa);
	testdev_reset(d->testdev);
	configure(d);
	__atomic_store_n(status, 0, __ATOMIC_SEQ_CST);
	dsa_portal_write(d->dsa, 0, &noop, sizeof(noop));
	for (unsigned int i = 0; i < 200000 && !__atomic_load_n(status, __ATOMIC_SEQ_CST); i++)
		usleep(50);
	require(__atomic_load_n(status, __ATOMIC_SEQ_CST) == DSA_STATUS_SUCCESS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct driver *d = driver();

	d->data = data;
	d->size = size;
	features(d, 0x7df);
	dsa_reset(d->dsa);
	testdev_reset(d->testdev);
	configure(d);
	for (unsigned int i = 0; i < LIMIT && d->size; i++)
		act(d);
	kit_write(&d->box, REG_PRS, 4, PRS_PRO);
	kit_write(&d->box, REG_PQH, 8, kit_read(&d->box, REG_PQT, 8));
	prove(d);
	return 0;
}
