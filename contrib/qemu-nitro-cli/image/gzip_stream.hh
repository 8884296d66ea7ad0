/*
 * Decompressing gzip with ISA-L, which takes less than half of zlib's time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_GZIP_STREAM_HH
#define QEMU_NITRO_CLI_IMAGE_GZIP_STREAM_HH

#include <functional>
#include <memory>

#include "support/bytes.hh"

struct inflate_state;

class GzipStream {
public:
    /* Returns the number of the next compressed bytes, or 0 at the end.  The
     * bytes stay valid until the next call. */
    using Input = std::function<size_t(const void **data)>;

    /* Is ISA-L available?  If not, nothing else of this class may be used. */
    static const bool is_available;

    explicit GzipStream(Input input);
    ~GzipStream();

    /*
     * Replace the piece by the next bytes; none at the end.  Ignores bytes
     * after the last member.  Returns the text of an error, or nullptr.
     */
    const char *read(Bytes &piece);

private:
    bool refill();
    int next_byte();
    bool skip(unsigned count);
    bool skip_string();
    const char *begin_member();
    const char *inflate();

    Input input_;
    std::unique_ptr<inflate_state> state_;
    bool is_inside_ = false;            /* of a member */
    bool input_ended_ = false, ended_ = false;
};

#endif
