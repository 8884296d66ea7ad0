/*
 * Reading CBOR (RFC 8949) that nobody vouches for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cbor_reader.hh"

#include <cbor.h>

namespace {

using Kind = CborItem::Kind;

/* What is read at once: a string of definite length, or where another item
 * begins, or the break that ends one of indefinite length */
struct Head {
    Kind kind = Kind::other;
    bool indefinite = false;
    bool is_break = false;
    uint64_t number = 0;                /* an integer; how many items follow */
    std::span<const uint8_t> data = {};
};

template <Kind kind, typename Number> void on_number(void *head, Number number)
{
    *static_cast<Head *>(head) = {.kind = kind, .number = number};
}

template <Kind kind> void on_string(void *head, cbor_data data, size_t size)
{
    *static_cast<Head *>(head) = {.kind = kind, .data = {data, size}};
}

template <Kind kind> void on_indefinite(void *head)
{
    *static_cast<Head *>(head) = {.kind = kind, .indefinite = true};
}

template <Kind kind> void on_simple(void *head)
{
    *static_cast<Head *>(head) = {.kind = kind};
}

template <typename Number> void on_other(void *head, Number)
{
    *static_cast<Head *>(head) = {};
}

void on_break(void *head)
{
    *static_cast<Head *>(head) = {.is_break = true};
}

const cbor_callbacks callbacks = {
    .uint8 = on_number<Kind::unsigned_integer, uint8_t>,
    .uint16 = on_number<Kind::unsigned_integer, uint16_t>,
    .uint32 = on_number<Kind::unsigned_integer, uint32_t>,
    .uint64 = on_number<Kind::unsigned_integer, uint64_t>,
    .negint64 = on_number<Kind::negative_integer, uint64_t>,
    .negint32 = on_number<Kind::negative_integer, uint32_t>,
    .negint16 = on_number<Kind::negative_integer, uint16_t>,
    .negint8 = on_number<Kind::negative_integer, uint8_t>,
    .byte_string_start = on_indefinite<Kind::bytes>,
    .byte_string = on_string<Kind::bytes>,
    .string = on_string<Kind::text>,
    .string_start = on_indefinite<Kind::text>,
    .indef_array_start = on_indefinite<Kind::array>,
    .array_start = on_number<Kind::array, size_t>,
    .indef_map_start = on_indefinite<Kind::map>,
    .map_start = on_number<Kind::map, size_t>,
    .tag = on_number<Kind::tag, uint64_t>,
    .float2 = on_other<float>,
    .float4 = on_other<float>,
    .float8 = on_other<double>,
    .undefined = on_simple<Kind::other>,
    .null = on_simple<Kind::null>,
    .boolean = on_other<bool>,
    .indef_break = on_break,
};

class Reader {
public:
    explicit Reader(std::span<const uint8_t> input) : input_(input) {}

    CborItem item(unsigned depth)
    {
        Head head = next();

        if (head.is_break) {
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

    /*
     * What is well-formed, but what libcbor 0.8 refuses, knowing no meaning of
     * it: tags of one byte (COSE_Sign1's is one) and unassigned simple values.
     * Returns how many bytes that is; 0 leaves it to libcbor.
     */
    size_t next_unassigned(Head &head)
    {
        uint8_t first = input_[at_];

        if (first >= 0xc0 && first <= 0xd7) {
            head = {.kind = Kind::tag, .number = uint64_t{first} - 0xc0};
            return 1;
        }
        if (first >= 0xe0 && first <= 0xf3) {
            return 1;
        }
        /* With a second byte; values below 32 have none. */
        if (first == 0xf8 && input_.size() - at_ > 1 && input_[at_ + 1] >= 32) {
            return 2;
        }
        return 0;
    }

    Head next()
    {
        Head head;

        begin_ = at_;
        if (at_ == input_.size()) {
            fail("cut short");
        }
        if (size_t size = next_unassigned(head)) {
            at_ += size;
            return head;
        }
        cbor_decoder_result result = cbor_stream_decode(
            input_.data() + at_, input_.size() - at_, &callbacks, &head);
        if (result.status == CBOR_DECODER_NEDATA) {
            fail("an item that is cut short");
        }
        if (result.status != CBOR_DECODER_FINISHED) {
            fail("what is no item");
        }
        at_ += result.read;
        return head;
    }

    /* What belongs to `head`, which has been read */
    CborItem rest(const Head &head, unsigned depth)
    {
        CborItem item;

        item.kind = head.kind;
        item.number = head.number;
        item.data.assign(head.data.begin(), head.data.end());
        switch (head.kind) {
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

    /* The pieces of a string: of its kind, and of definite length */
    void chunks(CborItem &item)
    {
        for (Head head = next(); !head.is_break; head = next()) {
            if (head.kind != item.kind || head.indefinite) {
                fail("what is no piece of a string");
            }
            item.data.insert(item.data.end(), head.data.begin(),
                             head.data.end());
        }
    }

    /* However many items `head` claims: each takes a byte, or this fails. */
    void contents(const Head &head, CborItem &item, unsigned depth)
    {
        bool is_map = head.kind == Kind::map;
        uint64_t count = head.kind == Kind::tag ? 1 : head.number;

        for (uint64_t n = 0; head.indefinite || n < count; n++) {
            Head inner = next();

            if (inner.is_break) {
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
