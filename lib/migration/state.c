/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state of a whole VM: members saved one after the other into one stream, and loaded all or none.
 *
 * A member's load checks everything before it changes anything, so a refused load leaves that member alone. For the
 * members loaded before it, their state is saved first and loaded back.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory/alloc.h"
#include "memory/sized.h"
#include "migration/internal.h"

struct member {
	struct member *next;
	struct viommu_state_member info;
	char name[NAME_MAX_LENGTH];
};

struct viommu_state {
	struct member *members;
	struct member **tail;
	uint32_t units;
};

int viommu_state_create(struct viommu_state **out)
{
	struct viommu_state *state = viommu_zalloc(sizeof(*state));

	if (!state)
		return -ENOMEM;
	state->tail = &state->members;
	*out = state;
	return 0;
}

void viommu_state_destroy(struct viommu_state *state)
{
	while (state && state->members) {
		struct member *member = state->members;

		state->members = member->next;
		viommu_free(member);
	}
	viommu_free(state);
}

int viommu_state_add(struct viommu_state *state, const struct viommu_state_member *info)
{
	struct viommu_state_member known;
	struct member *member;
	int error = sized_import(&known, sizeof(known), info);

	if (error)
		return error;
	if (!known.save || !known.load || !known.name)
		return -EINVAL;
	member = viommu_zalloc(sizeof(*member));
	if (!member)
		return -ENOMEM;
	member->info = known;
	strncpy(member->name, known.name, sizeof(member->name) - 1);
	member->info.name = member->name;
	*state->tail = member;
	state->tail = &member->next;
	return 0;
}

static int save_unit(void *opaque, struct viommu_stream_writer *writer, uint32_t instance)
{
	return viommu_unit_save(opaque, writer, instance);
}

static int load_unit(void *opaque, struct viommu_stream_reader *reader, uint32_t instance, char *text,
		     size_t length)
{
	return viommu_unit_load(opaque, reader, instance, text, length);
}

int viommu_state_add_unit(struct viommu_state *state, struct viommu_unit *unit)
{
	struct viommu_state_member info = {
		.size = sizeof(info),
		.instance = state->units,
		.name = "unit",
		.save = save_unit,
		.load = load_unit,
		.opaque = unit,
	};
	int result = viommu_state_add(state, &info);

	if (!result)
		state->units++;
	return result;
}

/* `member` and a colon in front of what it said; what it said may be nothing. */
static void name_culprit(const struct member *member, const char *said, int result, char *text, size_t length)
{
	if (text && length)
		snprintf(text, length, "%s %u: %s", member->name, member->info.instance,
			 said[0] ? said : strerror(-result));
}

static int save_members(struct viommu_state *state, struct viommu_stream_writer *writer, char *text,
			size_t text_length)
{
	for (struct member *member = state->members; member; member = member->next) {
		const struct viommu_state_member *info = &member->info;
		char said[512] = "";
		int result = 0;

		if (info->quiesced)
			result = info->quiesced(info->opaque, said, sizeof(said));
		if (!result)
			result = info->save(info->opaque, writer, info->instance);
		if (result) {
			name_culprit(member, said, result, text, text_length);
			return result;
		}
	}
	return 0;
}

int viommu_state_save(struct viommu_state *state, void **data, size_t *length, char *text,
		      size_t text_length)
{
	struct viommu_stream_writer *writer;
	const void *stream;
	int result;

	if (text && text_length)
		text[0] = '\0';
	result = viommu_stream_writer_create(&writer);
	if (result)
		return result;
	result = save_members(state, writer, text, text_length);
	if (!result)
		result = viommu_stream_finish(writer, &stream, length);
	if (!result) {
		/* The caller frees it with free(): plain malloc. */
		*data = malloc(*length);
		if (*data)
			memcpy(*data, stream, *length);
		else
			result = -ENOMEM;
	}
	viommu_stream_writer_destroy(writer);
	return result;
}

/* Load members until one refuses: that is *failed. */
static int load_members(struct viommu_state *state, struct viommu_stream_reader *reader,
			struct member **failed, char *text, size_t text_length)
{
	for (struct member *member = state->members; member; member = member->next) {
		const struct viommu_state_member *info = &member->info;
		char said[512] = "";
		int result = info->load(info->opaque, reader, info->instance, said, sizeof(said));

		if (result) {
			name_culprit(member, said, result, text, text_length);
			*failed = member;
			return result;
		}
	}
	return 0;
}

/* Needs no memory of its own; a member that cannot be put back keeps nobody else from it. */
static void put_back(struct viommu_state *state, struct viommu_stream_reader *reader, const struct member *end)
{
	char said[512];

	for (struct member *member = state->members; member != end; member = member->next)
		member->info.load(member->info.opaque, reader, member->info.instance, said, sizeof(said));
}

/* The way back is made before the first change, as making it can fail. */
static int load_or_put_back(struct viommu_state *state, struct viommu_stream_reader *reader, const void *before,
			    size_t before_length, char *text, size_t text_length)
{
	struct viommu_stream_reader *back;
	struct member *failed = NULL;
	int result = viommu_stream_reader_create(before, before_length, &back, text, text_length);

	if (result)
		return result;
	result = load_members(state, reader, &failed, text, text_length);
	/* Only now it is known which sections nobody here asked for: what they hold would be lost. */
	if (!result)
		result = viommu_stream_check_read(reader, text, text_length);
	if (result)
		put_back(state, back, failed);
	viommu_stream_reader_destroy(back);
	return result;
}

int viommu_state_load(struct viommu_state *state, const void *data, size_t length, char *text,
		      size_t text_length)
{
	struct viommu_stream_reader *reader;
	void *before = NULL;
	size_t before_length = 0;
	int result;

	if (text && text_length)
		text[0] = '\0';
	result = viommu_stream_reader_create(data, length, &reader, text, text_length);
	if (result)
		return result;
	result = viommu_state_save(state, &before, &before_length, text, text_length);
	if (!result)
		result = load_or_put_back(state, reader, before, before_length, text, text_length);
	free(before);
	viommu_stream_reader_destroy(reader);
	return result;
}
