/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state stream: a versioned, self-describing sequence of sections.
 *
 * A stream is a header, sections and an end mark. A section has a name ("unit", "endpoint", "dsa", ...), an instance number, a
 * version, a length and a CRC32-C; inside it are typed fields {tag, length, bytes}. A reader refuses what it does
 * not know unless the writer marked it optional, and checks the whole stream before anything is changed.
 * All numbers are little-endian. Written to and read from caller's memory: transport is the caller's.
 */
#ifndef VIOMMU_STREAM_H
#define VIOMMU_STREAM_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct viommu_stream_writer;
struct viommu_stream_reader;

/* -ENOMEM. The writer grows its buffer itself; a failed allocation sticks and is returned by _finish. */
VIOMMU_API int viommu_stream_writer_create(struct viommu_stream_writer **writer);
VIOMMU_API void viommu_stream_writer_destroy(struct viommu_stream_writer *writer);
VIOMMU_API void viommu_stream_begin(struct viommu_stream_writer *writer, const char *name,
				    uint32_t instance, uint32_t version);
VIOMMU_API void viommu_stream_end(struct viommu_stream_writer *writer);
/* Fields: `tag` is unique within the section. */
VIOMMU_API void viommu_stream_put_u64(struct viommu_stream_writer *writer, uint32_t tag, uint64_t value);
VIOMMU_API void viommu_stream_put_bytes(struct viommu_stream_writer *writer, uint32_t tag,
					const void *data, size_t length);
/* Finish: *data (owned by the writer) and *length are the whole stream. -ENOMEM, -EINVAL (unbalanced). */
VIOMMU_API int viommu_stream_finish(struct viommu_stream_writer *writer, const void **data, size_t *length);

/*
 * Check a whole stream and index it; copies nothing, `data` must stay. `message` (may be NULL) gets a sentence
 * naming what is wrong. -EBADMSG: truncated, corrupt or not a stream; -EPROTONOSUPPORT: newer format; -ENOMEM.
 */
VIOMMU_API int viommu_stream_reader_create(const void *data, size_t length,
					   struct viommu_stream_reader **reader, char *message,
					   size_t message_length);
VIOMMU_API void viommu_stream_reader_destroy(struct viommu_stream_reader *reader);
/* Position on a section. -ENOENT: absent; -EPROTONOSUPPORT: its version is above max_version. */
VIOMMU_API int viommu_stream_open(struct viommu_stream_reader *reader, const char *name,
				  uint32_t instance, uint32_t max_version, uint32_t *version);
/* Fields of the open section. -ENOENT: absent; -EBADMSG: wrong length. */
VIOMMU_API int viommu_stream_get_u64(struct viommu_stream_reader *reader, uint32_t tag, uint64_t *value);
VIOMMU_API int viommu_stream_get_bytes(struct viommu_stream_reader *reader, uint32_t tag,
				       const void **data, size_t *length);

/* A field whose tag has this bit may be left unread; every other field and every section must be understood. */
#define VIOMMU_STREAM_OPTIONAL 0x80000000u
/*
 * After the last section was read and before anything is changed: -EPROTONOSUPPORT when a section or a mandatory
 * field was never asked for; `message` (may be NULL) names it.
 */
VIOMMU_API int viommu_stream_check_read(const struct viommu_stream_reader *reader, char *message,
					size_t message_length);

#ifdef __cplusplus
}
#endif
#endif
