/*
 * Decompressing gzip with ISA-L (RFC 1952)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/gzip_stream.hh"

#include <climits>
#include <isa-l/igzip_lib.h>
#include <tuple>
#include <utility>

namespace {

constexpr size_t gzip_piece_size = 256 << 10;
constexpr uint8_t magic[] = {0x1f, 0x8b};       /* of a member */
constexpr uint8_t method_deflate = 8;       /* the only method there is */

/* Flags of a member's header */
constexpr uint8_t has_checksum = 1 << 1;
constexpr uint8_t has_extra = 1 << 2;
constexpr uint8_t has_name = 1 << 3;
constexpr uint8_t has_comment = 1 << 4;
constexpr uint8_t reserved = 0xe0;

const char *const cut_short = "gzip data that is cut short";
const char *const broken = "broken gzip data";

} // namespace

const bool GzipStream::is_available = true;

GzipStream::GzipStream(Input input)
    : input_(std::move(input)), state_(new inflate_state)
{
    state_->avail_in = 0;
}

GzipStream::~GzipStream() = default;

/* ISA-L does not write to its input, although the type is not const. */
bool GzipStream::refill()
{
    const void *data = nullptr;

    if (!state_->avail_in && !input_ended_) {
        state_->avail_in = input_(&data);
        state_->next_in = static_cast<uint8_t *>(const_cast<void *>(data));
        input_ended_ = !state_->avail_in;
    }
    return state_->avail_in;
}

/* The next byte of the input, or -1 at the end */
int GzipStream::next_byte()
{
    if (!refill()) {
        return -1;
    }
    state_->avail_in--;
    return *state_->next_in++;
}

bool GzipStream::skip(unsigned count)
{
    while (count-- && next_byte() >= 0) {
    }
    return count == UINT_MAX;
}

bool GzipStream::skip_string()
{
    int byte;

    while ((byte = next_byte()) > 0) {
    }
    return byte == 0;
}

/*
 * Read a header.  ISA-L can only read a header that is in one piece, so this
 * function does it.  Sets ended_ if there is no header.
 */
const char *GzipStream::begin_member()
{
    for (uint8_t byte : magic) {
        if (next_byte() != byte) {
            ended_ = true;
            return nullptr;
        }
    }
    int method = next_byte(), flags = next_byte();
    if (flags >= 0 && (method != method_deflate || (flags & reserved))) {
        return broken;
    }
    if (flags < 0 || !skip(6)) {        /* time, extra flags, system */
        return cut_short;
    }
    if (flags & has_extra) {
        int low = next_byte(), high = next_byte();

        if (high < 0 || !skip(low | high << 8)) {
            return cut_short;
        }
    }
    if (((flags & has_name) && !skip_string()) ||
        ((flags & has_comment) && !skip_string()) ||
        ((flags & has_checksum) && !skip(2))) {
        return cut_short;
    }
    auto input = std::pair(state_->next_in, state_->avail_in);
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP_NO_HDR_VER;
    std::tie(state_->next_in, state_->avail_in) = input;
    is_inside_ = true;
    return nullptr;
}

/* Decompress the next bytes of a member to state_.next_out. */
const char *GzipStream::inflate()
{
    inflate_state &s = *state_;
    auto before = std::pair(s.avail_in, s.avail_out);
    int result = isal_inflate(&s);

    if (result < 0) {
        return result == ISAL_INCORRECT_CHECKSUM
            ? "the checksum of gzip is wrong" : broken;
    }
    is_inside_ = s.block_state != ISAL_BLOCK_FINISH;
    bool is_stuck = before == std::pair(s.avail_in, s.avail_out);
    return is_inside_ && is_stuck ? cut_short : nullptr;
}

const char *GzipStream::read(Bytes &piece)
{
    uint32_t left = gzip_piece_size;
    const char *error = nullptr;

    piece.resize(gzip_piece_size);
    while (left && !ended_ && !error) {
        if (!is_inside_) {
            error = begin_member();
            continue;
        }
        refill();
        state_->next_out = piece.data() + gzip_piece_size - left;
        state_->avail_out = left;
        error = inflate();
        left = state_->avail_out;
    }
    piece.resize(gzip_piece_size - left);
    return error;
}
