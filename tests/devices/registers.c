/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The register file and every command with every error it can give.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

/* DSA 9.2.1-9.2.7 */
static void test_capabilities(void **state)
{
	uint64_t gencap = dkit_read64(&kit, DSA_GENCAP), wqcap = dkit_read64(&kit, DSA_WQCAP);

	assert_int_equal(dkit_read32(&kit, DSA_VERSION), 0x200);
	assert_int_equal(gencap & 0x1f, 0x1f);
	assert_int_equal(gencap >> 13 & 3, 1); /* event log */
	assert_int_equal(gencap >> 16 & 0x1f, 21);
	assert_int_equal(gencap >> 21 & 0xf, 5);
	assert_int_equal(gencap >> 31 & 1, 1);
	assert_int_equal(wqcap & 0xffff, 128);
	assert_int_equal(wqcap >> 16 & 0xff, 8);
	assert_int_equal(wqcap >> 24 & 0xf, 1); /* 64-byte WQCFG */
	assert_int_equal(wqcap >> 48 & 0xff, 0xdf);
	assert_int_equal(dkit_read32(&kit, DSA_GRPCAP) & 0xff, 4);
	assert_int_equal(dkit_read32(&kit, DSA_ENGCAP), 4);
	assert_int_equal(dkit_read64(&kit, DSA_OPCAP), 0x1003f03ff);
	assert_int_equal(dkit_read64(&kit, DSA_OFFSETS), 0x1000080004ull);
	assert_int_equal(dkit_read64(&kit, DSA_OFFSETS + 8), 0);
	assert_int_equal(dkit_read32(&kit, DSA_CMDCAP), 0x1ffe);
}

/* Any width and alignment reads and writes the same bytes. */
static void test_widths(void **state)
{
	uint8_t bytes[24], again[24];
	uint16_t half = 0xabcd;

	dsa_read(kit.dsa, DSA_VERSION, bytes, sizeof(bytes));
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		dsa_read(kit.dsa, DSA_VERSION + i, &again[i], 1);
	assert_memory_equal(bytes, again, sizeof(bytes));
	dkit_write32(&kit, DSA_WQCFG + 12, 0x11223344);
	dsa_write(kit.dsa, DSA_WQCFG + 13, &half, 2);
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG + 12), 0x11abcd44);
	assert_int_equal(dkit_read64(&kit, DSA_WQCFG + 8), 0x11abcd4400000000ull);
	dkit_write64(&kit, DSA_GRPCFG + 4, ~0ull); /* across two words */
	assert_int_equal(dkit_read64(&kit, DSA_GRPCFG), 0xffffffff00000000ull);
	assert_int_equal(dkit_read64(&kit, DSA_GRPCFG + 8), 0xffffffffull);
	assert_int_equal(dkit_read64(&kit, 0xfff8), 0);
	dkit_write64(&kit, 0xfff8, ~0ull);
	assert_int_equal(dkit_read64(&kit, 0xfff8), 0);
}

/* Only writable bits change; capabilities do not. */
static void test_read_only(void **state)
{
	uint64_t gencap = dkit_read64(&kit, DSA_GENCAP);

	dkit_write64(&kit, DSA_GENCAP, 0);
	dkit_write32(&kit, DSA_GENCFG, ~0u);
	dkit_write32(&kit, DSA_GENCTRL, ~0u);
	dkit_write32(&kit, DSA_GENSTS, ~0u);
	dkit_write64(&kit, DSA_MSIXPERM + 8, ~0ull);
	assert_int_equal(dkit_read64(&kit, DSA_GENCAP), gencap);
	assert_int_equal(dkit_read32(&kit, DSA_GENCFG), 0x30ff);
	assert_int_equal(dkit_read32(&kit, DSA_GENCTRL), 7);
	assert_int_equal(dkit_read32(&kit, DSA_GENSTS) & 3, 0);
	assert_int_equal(dkit_read64(&kit, DSA_MSIXPERM + 8), 0xfffff00c);
	/* DSA 9.2.18: status word of WQCFG */
	dkit_write32(&kit, DSA_WQCFG + 24, ~0u);
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG + 24), 0);
}

/* DSA 9.2.18: while enabled, WQCFG and GRPCFG are read-only; state shows. */
static void test_locked_configuration(void **state)
{
	uint64_t group;

	dkit_start(&kit, 0);
	group = dkit_read64(&kit, DSA_GRPCFG);
	assert_int_equal(dkit_read32(&kit, DSA_GENSTS) & 3, DSA_ENABLED);
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG + 24) >> 30, 1);
	dkit_write32(&kit, DSA_WQCFG, 99);
	dkit_write64(&kit, DSA_GRPCFG, 0xff);
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG), 16);
	assert_int_equal(dkit_read64(&kit, DSA_GRPCFG), group);
	dkit_write32(&kit, DSA_WQCFG + 64, 7); /* another WQ, not enabled */
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG + 64), 7);
}

/* DSA 9.2.12: commands that do not exist or are not advertised. */
static void test_invalid_commands(void **state)
{
	static const unsigned int codes[] = { 0, 13, 14, 15, 31 };

	for (unsigned int i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		assert_int_equal(dkit_command(&kit, codes[i], 0), DSA_CMD_INVALID_COMMAND);
}

static void test_enable_device_errors(void **state)
{
	dkit_configure_wq(&kit, 0, 16, 0);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID, false);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_BUS_MASTER);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID, true);

	dkit_write32(&kit, DSA_GENCFG, DSA_GENCFG_EVENT_LOG);
	dkit_write64(&kit, DSA_EVLCFG + 8, 63);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_CONFIGURATION);
	dkit_write64(&kit, DSA_EVLCFG + 8, 64);
	dkit_write64(&kit, DSA_EVLCFG, DSA_EVLCFG_PASID_ENABLE);
	dsa_features(kit.dsa, 0, true);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_PASID);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID, true);
	dkit_write32(&kit, DSA_GENCFG, 0);

	dkit_write32(&kit, DSA_WQCFG + 64, 113);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_TOTAL_SIZE);
	dkit_write32(&kit, DSA_WQCFG + 64, 112);

	dkit_group(&kit, 0, 1, 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_GROUP_ENGINES);
	dkit_group(&kit, 0, 1, 1);
	dkit_group(&kit, 1, 1, 2);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_GROUP_SHARED);
	dkit_group(&kit, 1, 2, 1);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_GROUP_SHARED);
	dkit_group(&kit, 1, 1 << 8, 2); /* no such WQ */
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_GROUP_SHARED);
	dkit_group(&kit, 1, 2, 1 << 4); /* no such engine */
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_GROUP_SHARED);
	dkit_group(&kit, 1, 2, 2);
	dkit_write64(&kit, DSA_GRPCFG + 40, 65 << 8);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_GROUP_BUFFERS);
	dkit_write64(&kit, DSA_GRPCFG + 40, 64 << 8);

	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_OK);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_DEVICE_ENABLED);
}

static void enable_device(void)
{
	dkit_group(&kit, 0, 0xff, 0xf);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_OK);
}

static void test_enable_wq_errors(void **state)
{
	uint32_t everything = VIOMMU_ENDPOINT_PASID | VIOMMU_ENDPOINT_PASID_PRIVILEGED;

	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 8), DSA_CMD_INVALID_WQ);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_DEVICE_NOT_ENABLED);
	enable_device();
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_SIZE);
	dkit_configure_wq(&kit, 0, 129, 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_SIZE);
	dkit_configure_wq(&kit, 0, 16, WQ_SHARED);
	dkit_write32(&kit, DSA_WQCFG + 4, 17); /* threshold above the size */
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_SIZE);

	dkit_configure_wq(&kit, 0, 16, WQ_SHARED | WQ_NO_PASID);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_PASID);
	dkit_configure_wq(&kit, 0, 16, WQ_PRIVILEGED);
	dsa_features(kit.dsa, VIOMMU_ENDPOINT_PASID, true);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_PASID);
	dkit_configure_wq(&kit, 0, 16, 0);
	dsa_features(kit.dsa, 0, true);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_PASID);
	dsa_features(kit.dsa, everything, true);

	dkit_write32(&kit, DSA_WQCFG + 12, 21 | 6 << 5);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_MAX_BATCH);
	dkit_write32(&kit, DSA_WQCFG + 12, 22 | 5 << 5);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_MAX_TRANSFER);
	dkit_write32(&kit, DSA_WQCFG + 12, 21 | 5 << 5);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_OK);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_ENABLED);
	/* All sizes together: 16 are taken. */
	dkit_configure_wq(&kit, 1, 113, 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 1), DSA_CMD_WQ_SIZE);
	dkit_configure_wq(&kit, 1, 112, 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 1), DSA_CMD_OK);
}

/* A WQ that no group has cannot be enabled. */
static void test_wq_without_group(void **state)
{
	dkit_group(&kit, 0, 1, 1);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), DSA_CMD_OK);
	dkit_configure_wq(&kit, 1, 16, 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 1), DSA_CMD_WQ_SIZE);
}

static void test_wq_command_errors(void **state)
{
	static const enum dsa_command commands[] = { DSA_DISABLE_WQ, DSA_DRAIN_WQ, DSA_ABORT_WQ,
						     DSA_RESET_WQ };

	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(dkit_command(&kit, commands[i], 0), DSA_CMD_INVALID_WQ);
		assert_int_equal(dkit_command(&kit, commands[i], 1 << 8), DSA_CMD_INVALID_WQ);
		assert_int_equal(dkit_command(&kit, commands[i], 1 << 16 | 1), DSA_CMD_INVALID_WQ);
		assert_int_equal(dkit_command(&kit, commands[i], 3), DSA_CMD_WQ_NOT_ENABLED);
	}
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_WQ, 1), DSA_CMD_OK);
	assert_int_equal(dkit_command(&kit, DSA_ABORT_WQ, 1), DSA_CMD_OK);
	assert_int_equal(dkit_command(&kit, DSA_DISABLE_WQ, 1), DSA_CMD_OK);
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG), 16); /* disabling keeps the configuration */
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_OK);
	assert_int_equal(dkit_command(&kit, DSA_RESET_WQ, 1), DSA_CMD_OK);
	for (unsigned int i = 0; i < 64; i += 4) /* resetting does not */
		assert_int_equal(dkit_read32(&kit, DSA_WQCFG + i), 0);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_WQ_SIZE);
}

static void test_device_command_errors(void **state)
{
	static const enum dsa_command commands[] = { DSA_DRAIN_ALL, DSA_ABORT_ALL, DSA_DRAIN_PASID,
						     DSA_ABORT_PASID };

	assert_int_equal(dkit_command(&kit, DSA_DISABLE_DEVICE, 0), DSA_CMD_NOT_ENABLED);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(dkit_command(&kit, commands[i], PASID), DSA_CMD_WQ_NOT_ENABLED);
	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(dkit_command(&kit, commands[i], PASID), DSA_CMD_OK);
	assert_int_equal(dkit_command(&kit, DSA_DISABLE_DEVICE, 0), DSA_CMD_OK);
	assert_int_equal(dkit_read32(&kit, DSA_GENSTS) & 3, DSA_DISABLED);
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG + 24), 0); /* its WQs too */
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG), 16);
}

/* DSA 4.2: reset forgets all configuration, whatever the state. */
static void test_reset_device(void **state)
{
	dkit_write32(&kit, DSA_GENCFG, DSA_GENCFG_USER_INTERRUPTS);
	dkit_write32(&kit, DSA_GENCTRL, 7);
	dkit_start(&kit, 0);
	assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), DSA_CMD_OK);
	assert_int_equal(dkit_read32(&kit, DSA_GENSTS), DSA_DISABLED | DSA_RESET_SOFTWARE << 2);
	assert_int_equal(dkit_read32(&kit, DSA_GENCFG), 0);
	assert_int_equal(dkit_read32(&kit, DSA_GENCTRL), 0);
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG), 0);
	assert_int_equal(dkit_read64(&kit, DSA_GRPCFG), 0);
	assert_int_equal(dkit_command(&kit, DSA_RESET_DEVICE, 0), DSA_CMD_OK);
}

/* DSA 9.2.11, 9.2.12: the interrupt a command asks for, and its cause. */
static void test_command_interrupt(void **state)
{
	dkit_write32(&kit, DSA_CMD, DSA_RESET_DEVICE << 20 | (uint32_t)DSA_CMD_INTERRUPT);
	assert_true(dkit_command_settles(&kit));
	assert_int_equal(dkit_interrupts(&kit, 0, 1), 1);
	assert_int_equal(dkit_read32(&kit, DSA_INTCAUSE), DSA_CAUSE_COMMAND);
	dkit_write32(&kit, DSA_INTCAUSE, DSA_CAUSE_ERROR);
	assert_int_equal(dkit_read32(&kit, DSA_INTCAUSE), DSA_CAUSE_COMMAND);
	dkit_write32(&kit, DSA_INTCAUSE, DSA_CAUSE_COMMAND);
	assert_int_equal(dkit_read32(&kit, DSA_INTCAUSE), 0);
	/* an error interrupts as well */
	dkit_write32(&kit, DSA_CMD, DSA_DISABLE_DEVICE << 20 | (uint32_t)DSA_CMD_INTERRUPT);
	assert_int_equal(dkit_interrupts(&kit, 0, 2), 2);
	dkit_write32(&kit, DSA_CMD, DSA_RESET_DEVICE << 20);
	assert_true(dkit_command_settles(&kit));
	assert_int_equal(dkit_interrupts(&kit, 0, 2), 2);
}

/* What Linux does when a process opens a dedicated WQ: drain, reset, all of WQCFG again, PASID,
 * enable. */
static void test_linux_open_sequence(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, 0, 0);
	uint32_t config[16];

	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 16; i++)
		config[i] = dkit_read32(&kit, DSA_WQCFG + 4 * i);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_WQ, 1), DSA_CMD_OK);
	assert_int_equal(dkit_command(&kit, DSA_RESET_WQ, 1), DSA_CMD_OK);
	for (unsigned int i = 0; i < 16; i++)
		dkit_write32(&kit, DSA_WQCFG + 4 * i,
			     config[i] | dkit_read32(&kit, DSA_WQCFG + 4 * i));
	dkit_write32(&kit, DSA_WQCFG + 8, dkit_read32(&kit, DSA_WQCFG + 8) | PASID << 8 | 1 << 28);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), DSA_CMD_OK);
	assert_int_equal(dkit_run(&kit, &d, 0).status, DSA_STATUS_SUCCESS);
}

/* DSA 3.3: a descriptor is taken when all of its 64 bytes are there, in any pieces. */
static void test_portal_assembly(void **state)
{
	static const unsigned int pieces[] = { 1, 2, 4, 8, 16, 32, 64 };
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, 0, 0);
	const uint8_t *bytes = (const uint8_t *)&d;
	struct dsa_record record;
	struct dsa_statistics before, after;

	dkit_start(&kit, 0);
	for (unsigned int i = 0; i < 7; i++) {
		dkit_clear_record(&kit, 0);
		for (unsigned int at = 0; at < 64; at += pieces[i])
			dsa_portal_write(kit.dsa, 64 * i + at, bytes + at, pieces[i]);
		assert_true(dkit_wait(&kit, 0, &record));
		assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	}
	/* Two slots at once do not mix; a slot with a gap is not submitted. */
	dsa_statistics(kit.dsa, &before);
	for (unsigned int at = 0; at < 64; at += 8) {
		dsa_portal_write(kit.dsa, 1024 + at, bytes + at, 8);
		if (at != 24)
			dsa_portal_write(kit.dsa, 2048 + at, bytes + at, 8);
	}
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_WQ, 1), DSA_CMD_OK);
	dsa_statistics(kit.dsa, &after);
	assert_int_equal(after.descriptors - before.descriptors, 1);
	/* beyond the last WQ's portals: nothing there */
	dsa_portal_write(kit.dsa, 8 * DSA_PORTAL_SIZE, bytes, 64);
	/* across slots */
	dsa_portal_write(kit.dsa, 3072 + 32, bytes, 64);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_WQ, 1), DSA_CMD_OK);
	dsa_statistics(kit.dsa, &after);
	assert_int_equal(after.descriptors - before.descriptors, 1);
}

/* DSA 3.2: ENQCMD's retry: the limited portal up to the threshold, the unlimited up to the size. */
static void test_retry(void **state)
{
	struct dsa_descriptor d = dkit_descriptor(DSA_OP_NOOP, 0, 0);
	struct dsa_descriptor blocked =
		dkit_descriptor(DSA_OP_CACHE_FLUSH, DSA_FLAG_BLOCK_ON_FAULT, 1);
	struct dsa_record record;
	struct dsa_statistics statistics;
	uint64_t answer;

	dkit_configure_wq(&kit, 0, 4, WQ_SHARED | WQ_BLOCK);
	dkit_write32(&kit, DSA_WQCFG + 4, 2);
	dkit_group(&kit, 0, 1, 1);
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_DEVICE, 0), 0);
	/* not enabled yet */
	assert_false(dkit_submit(&kit, 0, &d));
	assert_int_equal(dkit_command(&kit, DSA_ENABLE_WQ, 0), 0);

	/* Its engine waits for a page that is not given. */
	dkit_unmap(&kit, 0);
	blocked.destination = AREA;
	blocked.size = 1;
	assert_true(dkit_submit(&kit, 0, &blocked));
	while (dkit_read32(&kit, DSA_WQCFG + 24) & 0xffff)
		usleep(50);
	assert_true(dkit_submit(&kit, 0, &d));
	assert_true(dkit_submit(&kit, 0, &d));
	assert_false(dkit_submit(&kit, 0, &d));
	for (unsigned int i = 0; i < 3; i++) {
		dsa_portal_write(kit.dsa, 64 * i, &d, 64); /* unlimited */
		dsa_portal_read(kit.dsa, 64 * i, &answer, 8);
		assert_int_equal(answer, i == 2);
	}
	assert_int_equal(dkit_read32(&kit, DSA_WQCFG + 24) & 0xffff, 4);
	dsa_statistics(kit.dsa, &statistics);
	assert_int_equal(statistics.retries, 2);

	kit.policy = PAGES_GIVEN;
	assert_true(dkit_wait(&kit, 1, &record));
	assert_int_equal(record.status, DSA_STATUS_SUCCESS);
	assert_int_equal(dkit_command(&kit, DSA_DRAIN_WQ, 1), 0);
	assert_true(dkit_submit(&kit, 0, &d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_capabilities),
		TEST(test_widths),
		TEST(test_read_only),
		TEST(test_locked_configuration),
		TEST(test_invalid_commands),
		TEST(test_enable_device_errors),
		TEST(test_enable_wq_errors),
		TEST(test_wq_without_group),
		TEST(test_wq_command_errors),
		TEST(test_device_command_errors),
		TEST(test_reset_device),
		TEST(test_command_interrupt),
		TEST(test_linux_open_sequence),
		TEST(test_portal_assembly),
		TEST(test_retry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
