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
    /* Returns how many compressed bytes come next, which stay valid until the
     * next call; 0 at the end. */
    using Input = std::function<size_t(const void **data)>;

    /* Whether the library is; without it, nothing else here may be used. */
    static const bool is_there;

    explicit GzipStream(Input input);
    ~GzipStream();

    /*
     * Put the next bytes in place of what the piece has: none at the end.
     * What follows the last member and is no member is ignored.  Returns an
     * error's text, or nullptr.
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
