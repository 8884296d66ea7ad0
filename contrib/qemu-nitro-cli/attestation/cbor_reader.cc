/*
 * Reading untrusted CBOR (RFC 8949)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "attestation/cbor_reader.hh"

#include "qemu/cbor.h"

namespace {

using Kind = CborItem::Kind;

/* The kind of the item that begins with `head`, which is not a break */
Kind item_kind(const CborHead &head)
{
    switch (head.kind) {
    case CBOR_KIND_UINT:
        return Kind::unsigned_integer;
    case CBOR_KIND_NEGINT:
        return Kind::negative_integer;
    case CBOR_KIND_BYTES:
        return Kind::bytes;
    case CBOR_KIND_TEXT:
        return Kind::text;
    case CBOR_KIND_ARRAY:
        return Kind::array;
    case CBOR_KIND_MAP:
        return Kind::map;
    case CBOR_KIND_TAG:
        return Kind::tag;
    case CBOR_KIND_NULL:
        return Kind::null;
    default:
        return Kind::other;
    }
}

bool is_break(const CborHead &head)
{
    return head.kind == CBOR_KIND_BREAK;
}

/* The bytes of a string of definite length, which `head` has */
std::span<const uint8_t> data_of(const CborHead &head)
{
    return head.data ? std::span{head.data, size_t{head.value}}
                     : std::span<const uint8_t>{};
}

class Reader {
public:
    explicit Reader(std::span<const uint8_t> input) : input_(input) {}

    CborItem item(unsigned depth)
    {
        CborHead head = next();

        if (is_break(head)) {
            fail("a break with nothing to end");
        }
        return rest(head, depth);
    }

    void end()
    {
        if (at_ != input_.size()) {
            throw CborError(std::to_string(input_.size() - at_)
                            + " bytes follow the end, at byte "
                            + std::to_string(at_));
        }
    }

private:
    [[noreturn]] void fail(const std::string &what)
    {
        throw CborError(what + " at byte " + std::to_string(begin_));
    }

    CborHead next()
    {
        CborHead head;
        size_t used;

        begin_ = at_;
        switch (cbor_decode_head(input_.data() + at_, input_.size() - at_,
                                 &head, &used)) {
        case CBOR_STATUS_OK:
            at_ += used;
            return head;
        case CBOR_STATUS_CUT_SHORT:
            fail("an item that is cut short");
        default:
            fail("an invalid item");
        }
    }

    /* Read the rest of the item that began with `head`. */
    CborItem rest(const CborHead &head, unsigned depth)
    {
        CborItem item;
        std::span<const uint8_t> data = data_of(head);

        item.kind = item_kind(head);
        item.number = head.value;
        item.data.assign(data.begin(), data.end());
        switch (item.kind) {
        case Kind::bytes:
        case Kind::text:
            if (head.indefinite) {
                chunks(item);
            }
            break;
        case Kind::array:
        case Kind::map:
        case Kind::tag:
            if (depth == cbor_depth_max) {
                fail("nested deeper than " + std::to_string(cbor_depth_max)
                     + " levels");
            }
            contents(head, item, depth + 1);
            break;
        default:
            break;
        }
        return item;
    }

    /* The pieces of a string must have its kind and a definite length. */
    void chunks(CborItem &item)
    {
        for (CborHead head = next(); !is_break(head); head = next()) {
            if (item_kind(head) != item.kind || head.indefinite) {
                fail("an item that cannot be a piece of a string");
            }
            std::span<const uint8_t> data = data_of(head);
            item.data.insert(item.data.end(), data.begin(), data.end());
        }
    }

    /* Each item takes at least a byte, so the loop ends with the input. */
    void contents(const CborHead &head, CborItem &item, unsigned depth)
    {
        bool is_map = head.kind == CBOR_KIND_MAP;
        uint64_t count = head.kind == CBOR_KIND_TAG ? 1 : head.value;

        for (uint64_t n = 0; head.indefinite || n < count; n++) {
            CborHead inner = next();

            if (is_break(inner)) {
                if (head.indefinite) {
                    return;
                }
                fail("a break with nothing to end");
            }
            item.items.push_back(rest(inner, depth));
            if (is_map) {
                item.items.push_back(this->item(depth));
            }
        }
    }

    std::span<const uint8_t> input_;
    size_t at_ = 0, begin_ = 0;         /* of what is next; of what was */
};

} // namespace

const char *CborItem::name(Kind kind)
{
    switch (kind) {
    case Kind::unsigned_integer:
        return "an unsigned integer";
    case Kind::negative_integer:
        return "a negative integer";
    case Kind::bytes:
        return "a byte string";
    case Kind::text:
        return "a text string";
    case Kind::array:
        return "an array";
    case Kind::map:
        return "a map";
    case Kind::tag:
        return "a tag";
    case Kind::null:
        return "null";
    default:
        return "a simple value or floating-point number";
    }
}

CborItem read_cbor(std::span<const uint8_t> input)
{
    Reader reader(input);
    CborItem item = reader.item(0);

    reader.end();
    return item;
}
