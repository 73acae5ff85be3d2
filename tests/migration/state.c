/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a VM as one stream: a unit and two members of a few lines each. Whatever is wrong (a member that refuses, a
 * stream that is cut, damaged or another VM's, any allocation that fails) everything is afterwards as it was before.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <viommu/migration.h>

#include "memory/alloc.h"
#include "../vtd/expect.h"

#define SECTION "fake"

struct member {
	uint64_t value;
	bool busy, refuse_save, refuse_load;
	unsigned int loads;
};

static struct kit kit;
static struct member members[2];
static struct viommu_state *state;

/* What a VM looks like from outside: all of it that a load may change. */
struct view {
	uint32_t window[1024];
	uint64_t values[2];
};

static struct view look(void)
{
	struct view view;

	for (unsigned int i = 0; i < 1024; i++) {
		uint64_t value = 0; /* there is no register everywhere */

		viommu_unit_read(kit.unit, 4 * i, 4, &value);
		view.window[i] = (uint32_t)value;
	}
	for (unsigned int i = 0; i < 2; i++)
		view.values[i] = members[i].value;
	return view;
}

static void unchanged(const struct view *before, const char *what, size_t at)
{
	struct view now = look();

	if (memcmp(before, &now, sizeof(now)))
		fail_msg("%s at %zu changed something", what, at);
}

static int quiesced(void *opaque, char *text, size_t length)
{
	struct member *member = opaque;

	if (member->busy)
		snprintf(text, length, "a copy is running");
	return member->busy ? -EBUSY : 0;
}

static int save(void *opaque, struct viommu_stream_writer *writer, uint32_t instance)
{
	struct member *member = opaque;

	viommu_stream_begin(writer, SECTION, instance, 1);
	viommu_stream_put_u64(writer, 1, member->value);
	viommu_stream_end(writer);
	return member->refuse_save ? -EIO : 0;
}

static int load(void *opaque, struct viommu_stream_reader *reader, uint32_t instance, char *text, size_t length)
{
	struct member *member = opaque;
	uint64_t value;
	int result = viommu_stream_open(reader, SECTION, instance, 1, NULL);

	if (!result)
		result = viommu_stream_get_u64(reader, 1, &value);
	if (!result && member->refuse_load) {
		snprintf(text, length, "value=%llu: allowed is less", (unsigned long long)value);
		result = -EINVAL;
	}
	if (!result) {
		member->value = value;
		member->loads++;
	}
	return result;
}

static int add(struct viommu_state *to, unsigned int index)
{
	char name[] = "fakeN";
	struct viommu_state_member info = {
		.size = sizeof(info), .instance = index, .name = name,
		.quiesced = quiesced, .save = save, .load = load, .opaque = &members[index],
	};
	int result;

	name[4] = (char)('0' + index);
	result = viommu_state_add(to, &info);
	memset(name, 'x', 5); /* it was copied */
	return result;
}

static int begin(void **context)
{
	kit_create(&kit, NULL);
	kit_start(&kit, TTM_SCALABLE);
	memset(members, 0, sizeof(members));
	members[0].value = 10;
	members[1].value = 11;
	assert_int_equal(viommu_state_create(&state), 0);
	assert_int_equal(viommu_state_add_unit(state, kit.unit), 0);
	assert_int_equal(add(state, 0), 0);
	assert_int_equal(add(state, 1), 0);
	return 0;
}

static int end(void **context)
{
	viommu_state_destroy(state);
	kit_destroy(&kit);
	return 0;
}

struct saved {
	uint8_t *data;
	size_t length;
	struct view view;
};

/* Save the VM as it is, and then change all of it. */
static struct saved save_and_change(void)
{
	struct saved saved = { .view = look() };
	char text[256] = "x";
	void *data;

	assert_int_equal(viommu_state_save(state, &data, &saved.length, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	saved.data = data;
	kit_disable(&kit);
	kit_write(&kit, REG_FEDATA, 4, 0x77);
	members[0].value = 20;
	members[1].value = 21;
	return saved;
}

static void round_trip(void **context)
{
	struct saved saved = save_and_change();
	struct view now;
	char text[256];

	assert_int_equal(viommu_state_load(state, saved.data, saved.length, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	now = look();
	assert_memory_equal(&now, &saved.view, sizeof(now));
	assert_true(kit_read(&kit, REG_GSTS, 4) & GCMD_TE);
	assert_int_equal(members[0].value, 10);
	/* No text wanted is no error. */
	assert_int_equal(viommu_state_load(state, saved.data, saved.length, NULL, 0), 0);
	free(saved.data);
}

/* The one in the middle, then the last: those before it were loaded and are put back, those after it were not asked. */
static void refusing_member(void **context)
{
	struct saved saved = save_and_change();
	struct view before = look();
	char text[256];

	for (unsigned int i = 0; i < 2; i++) {
		members[0].loads = members[1].loads = 0;
		members[i].refuse_load = true;
		assert_int_equal(viommu_state_load(state, saved.data, saved.length, text, sizeof(text)), -EINVAL);
		assert_string_equal(text, i ? "fake1 1: value=11: allowed is less" :
					      "fake0 0: value=10: allowed is less");
		assert_int_equal(members[0].loads, i ? 2 : 0);
		assert_int_equal(members[1].loads, 0);
		unchanged(&before, "a refusal", i);
		members[i].refuse_load = false;
	}
	free(saved.data);
}

/* Saving and loading both name who still works, and loading has changed nothing then. */
static void busy_member(void **context)
{
	struct saved saved = save_and_change();
	struct view before = look();
	char text[256];
	size_t length;
	void *data;

	members[1].busy = true;
	assert_int_equal(viommu_state_save(state, &data, &length, text, sizeof(text)), -EBUSY);
	assert_string_equal(text, "fake1 1: a copy is running");
	assert_int_equal(viommu_state_load(state, saved.data, saved.length, text, sizeof(text)), -EBUSY);
	assert_string_equal(text, "fake1 1: a copy is running");
	unchanged(&before, "a busy member", 0);
	members[1].busy = false;
	members[0].refuse_save = true;
	assert_int_equal(viommu_state_save(state, &data, &length, text, sizeof(text)), -EIO);
	assert_string_equal(text, "fake0 0: Input/output error");
	members[0].refuse_save = false;
	assert_int_equal(viommu_state_load(state, saved.data, saved.length, NULL, 0), 0);
	free(saved.data);
}

/* Cut after each byte, and each byte changed: one message names the place, nothing happens. */
static void damaged(void **context)
{
	struct saved saved = save_and_change();
	struct view before = look();
	char text[256];

	for (size_t at = 0; at < saved.length; at++) {
		assert_int_equal(viommu_state_load(state, saved.data, at, text, sizeof(text)), -EBADMSG);
		assert_non_null(strstr(text, "damaged at byte"));
		unchanged(&before, "a cut", at);
	}
	for (size_t at = 0; at < saved.length; at++) {
		int result;

		saved.data[at] ^= 0x40;
		result = viommu_state_load(state, saved.data, saved.length, text, sizeof(text));
		assert_true(result == -EBADMSG || result == -EPROTONOSUPPORT);
		assert_true(text[0]);
		unchanged(&before, "a changed byte", at);
		saved.data[at] ^= 0x40;
	}
	assert_int_equal(viommu_state_load(state, saved.data, saved.length, text, sizeof(text)), 0);
	free(saved.data);
}

/* Whole and undamaged, but a smaller or larger VM's: a member it lacks, and one that nobody here would load. */
static void another_vm(void **context)
{
	struct saved saved = save_and_change();
	struct view before = look();
	struct viommu_state *smaller;
	size_t length;
	char text[256];
	void *data;

	assert_int_equal(viommu_state_create(&smaller), 0);
	assert_int_equal(viommu_state_add_unit(smaller, kit.unit), 0);
	assert_int_equal(add(smaller, 0), 0);
	assert_int_equal(viommu_state_load(smaller, saved.data, saved.length, text, sizeof(text)),
			 -EPROTONOSUPPORT);
	assert_non_null(strstr(text, "section fake 1"));
	unchanged(&before, "a section too many", 0);

	assert_int_equal(viommu_state_save(smaller, &data, &length, NULL, 0), 0);
	members[0].value++;
	before = look();
	assert_int_equal(viommu_state_load(state, data, length, text, sizeof(text)), -ENOENT);
	assert_string_equal(text, "fake1 1: No such file or directory");
	unchanged(&before, "a section too few", 0);
	viommu_state_destroy(smaller);
	free(data);
	free(saved.data);
}

/* Two units over one memory, the second with fewer PASIDs than the saved one: the first, loaded already, is put back. */
static void other_capabilities(void **context)
{
	struct viommu_state *from, *to;
	struct viommu_unit_options options;
	struct viommu_unit *many, *few;
	struct saved saved = save_and_change();
	struct view before;
	size_t length;
	uint64_t capabilities[2];
	char text[256];
	void *data;

	viommu_unit_options_init(&options);
	assert_int_equal(viommu_unit_create(&options, kit.memory, &kit_unit_ops, &kit, &many), 0);
	options.pasid_bits = 5;
	assert_int_equal(viommu_unit_create(&options, kit.memory, &kit_unit_ops, &kit, &few), 0);
	assert_int_equal(viommu_state_create(&from), 0);
	assert_int_equal(viommu_state_create(&to), 0);
	assert_int_equal(viommu_state_add_unit(from, kit.unit), 0);
	assert_int_equal(viommu_state_add_unit(from, many), 0);
	assert_int_equal(viommu_state_add_unit(to, kit.unit), 0);
	assert_int_equal(viommu_state_add_unit(to, few), 0);
	assert_int_equal(viommu_state_save(from, &data, &length, NULL, 0), 0);
	kit_write(&kit, REG_FEDATA, 4, 0x99);
	before = look();
	assert_int_equal(viommu_state_load(to, data, length, text, sizeof(text)), -EINVAL);
	assert_non_null(strstr(text, "unit 1: "));
	assert_non_null(strstr(text, "ECAP"));
	unchanged(&before, "capabilities that do not fit", 0);
	/* VT-d 11.4.2, 11.4.3: the same answer, without a stream. */
	viommu_unit_read(many, REG_CAP, 8, &capabilities[0]);
	viommu_unit_read(many, REG_ECAP, 8, &capabilities[1]);
	assert_int_equal(viommu_unit_compare(many, capabilities[0], capabilities[1], NULL, 0), 0);
	assert_int_equal(viommu_unit_compare(few, capabilities[0], capabilities[1], text, sizeof(text)), -EINVAL);
	assert_non_null(strstr(text, "pasid-bits is 20 there and 5 here"));
	assert_int_equal(viommu_unit_compare(few, capabilities[0], capabilities[1], NULL, 0), -EINVAL);
	viommu_state_destroy(from);
	viommu_state_destroy(to);
	viommu_unit_destroy(many);
	viommu_unit_destroy(few);
	free(data);
	free(saved.data);
}

static int build(void)
{
	struct viommu_state *other;
	int result = viommu_state_create(&other);

	if (result)
		return result;
	result = viommu_state_add_unit(other, kit.unit);
	result = result ? result : add(other, 0);
	viommu_state_destroy(other);
	return result;
}

static void no_memory(void **context)
{
	struct saved saved = save_and_change();
	struct view before = look();
	unsigned int refused = 0;
	size_t length;
	void *data;
	int result;

	for (long n = 0;; n++) {
		viommu_alloc_fail_nth(n);
		result = build();
		if (!viommu_alloc_fail_nth(-1))
			break;
		assert_int_equal(result, -ENOMEM);
	}
	assert_int_equal(result, 0);
	for (long n = 0;; n++) {
		viommu_alloc_fail_nth(n);
		result = viommu_state_save(state, &data, &length, NULL, 0);
		if (!viommu_alloc_fail_nth(-1))
			break;
		assert_int_equal(result, -ENOMEM);
		unchanged(&before, "saving without memory", (size_t)n);
	}
	assert_int_equal(result, 0);
	free(data);
	/* A load that refuses in its last member, so that it has to put the others back however little memory there is. */
	members[1].refuse_load = true;
	for (long n = 0;; n++) {
		viommu_alloc_fail_nth(n);
		result = viommu_state_load(state, saved.data, saved.length, NULL, 0);
		unchanged(&before, "loading without memory", (size_t)n);
		if (!viommu_alloc_fail_nth(-1))
			break;
		assert_true(result == -ENOMEM || result == -EINVAL);
		refused += result == -ENOMEM;
	}
	assert_int_equal(result, -EINVAL);
	/* Two readers of three allocations, and a writer. */
	assert_true(refused >= 8);
	members[1].refuse_load = false;
	assert_int_equal(viommu_state_load(state, saved.data, saved.length, NULL, 0), 0);
	before = look();
	assert_memory_equal(&before, &saved.view, sizeof(before));
	free(saved.data);
}

static void arguments(void **context)
{
	struct viommu_state_member info = { .size = sizeof(info), .name = "x", .save = save, .load = load };

	info.size = offsetof(struct viommu_state_member, load);
	assert_int_equal(viommu_state_add(state, &info), -EINVAL);
	info.size = sizeof(info);
	info.name = NULL;
	assert_int_equal(viommu_state_add(state, &info), -EINVAL);
	info.name = "x";
	info.save = NULL;
	assert_int_equal(viommu_state_add(state, &info), -EINVAL);
	info.save = save;
	info.load = NULL;
	assert_int_equal(viommu_state_add(state, &info), -EINVAL);
	viommu_state_destroy(NULL);
}

#define state_test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		state_test(round_trip),	 state_test(refusing_member),	 state_test(busy_member),
		state_test(damaged),	 state_test(another_vm),	 state_test(other_capabilities),
		state_test(no_memory),	 state_test(arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
