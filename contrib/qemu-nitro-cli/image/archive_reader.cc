/*
 * Reading archives with libarchive, within limits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/archive_reader.hh"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <deque>
#include <exception>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string_view>
#include <utility>

#include "image/gzip_stream.hh"
#include "image/read_ahead.hh"
#include "support/errors.hh"

namespace {

constexpr size_t archive_piece_size = 1 << 20;
constexpr size_t max_head = 512;            /* bytes that show the kind */
const char *const make_smaller =
    "Make a smaller container image: an enclave holds it in its memory.";

/* The first bytes of files that are not tar archives, and their descriptions */
constexpr std::pair<std::string_view, const char *> formats[] = {
    {"\x1f\x8b", "gzip data, but without a tar archive in it"},
    {"\x28\xb5\x2f\xfd", "zstd data, but without a tar archive in it"},
    {"\xfd" "7zXZ", "xz data, but without a tar archive in it"},
    {"BZh", "bzip2 data, but without a tar archive in it"},
    {"\x04\x22\x4d\x18", "lz4 data, but without a tar archive in it"},
    {"LZIP", "lzip data, which is not supported"},
    {"\x1f\x9d", "data of compress, which is not supported"},
    {"PK\x03\x04", "a zip archive"},
    {"070701", "a cpio archive"},
    {"070707", "a cpio archive"},
    {"7z\xbc\xaf", "a 7z archive"},
    {"Rar!", "a rar archive"},
    {"!<arch>", "a package of Debian, or another archive of ar"},
    {"\xed\xab\xee\xdb", "a package of RPM"},
    {"hsqs", "a squashfs file system"},
    {"QFI\xfb", "a disk image of QEMU"},
    {"\x7f" "ELF", "a program"},
    {".eif", "an enclave image already"},
    {"SQLite format 3", "a database"},
    {"{", "JSON"},
    {"[", "JSON"},
    {"<", "HTML or XML"},
    {"FROM ", "a Dockerfile"},
    {"-----BEGIN ", "a certificate or a key"},
};

Bytes first_bytes(const Blob &blob)
{
    return Blob{blob.store, blob.position,
                std::min<uint64_t>(blob.size, max_head)}.read();
}

std::string describe_format(const Bytes &head)
{
    std::string_view text(reinterpret_cast<const char *>(head.data()),
                          head.size());

    if (text.empty()) {
        return "the file is empty";
    }
    for (const auto &[magic, kind] : formats) {
        /* A file that is cut short may end in the middle of it. */
        if (text.starts_with(magic) ||
            (text.size() > 2 && magic.starts_with(text))) {
            return std::string("it looks like ") + kind;
        }
    }
    bool plain = std::ranges::all_of(text, [](unsigned char c) {
        return c >= ' ' || c == '\n' || c == '\r' || c == '\t';
    });
    return plain ? "it looks like a text"
                 : "its format is unknown";
}

/* libarchive's message, in one line */
std::string error_text_of(archive *a)
{
    const char *why = archive_error_string(a);
    std::string text = why ? why : "cannot be read";

    if (text.starts_with("Lzma library error")) {
        return text.find("No progress") != std::string::npos
            ? "xz data that is cut short" : "broken xz data";
    }
    std::ranges::replace(text, '\n', ' ');
    return text;
}

/*
 * A record of a pax header, "LENGTH KEY=VALUE\n" with the length of all of
 * it, which is taken off the text; an empty key at the end, or where the text
 * is none.
 */
std::pair<std::string_view, std::string_view> next_record(
    std::string_view &text)
{
    size_t length = 0;
    auto [at, error] = std::from_chars(text.data(), text.data() + text.size(),
                                       length);
    size_t begin = at - text.data() + 1;

    if (error != std::errc() || length > text.size() || length <= begin) {
        return {};
    }
    std::string_view record = text.substr(begin, length - begin - 1);
    size_t equals = record.find('=');
    if (equals == record.npos) {
        return {};
    }
    text.remove_prefix(length);
    return {record.substr(0, equals), record.substr(equals + 1)};
}

/* A field of a header: octal digits, or GNU's binary form */
uint64_t tar_number(std::string_view field)
{
    uint64_t value = 0;

    if (field[0] & 0x80) {
        for (unsigned char c : field.substr(field.size() - sizeof(value))) {
            value = value << 8 | c;
        }
        return value;
    }
    field.remove_prefix(std::min(field.find_first_not_of(' '), field.size()));
    std::from_chars(field.data(), field.data() + field.size(), value, 8);
    return value;
}

/*
 * The first name with a zero byte in it of those that the pax headers among an
 * entry's headers have (POSIX, pax, "pax Extended Header"); empty if there is
 * none.
 */
std::string_view name_with_zero(std::string_view headers)
{
    constexpr size_t block = 512, size_at = 124, size_width = 12,
                     type_at = 156;
    constexpr std::string_view before_entry = "xXgLK";

    while (headers.size() > block) {
        uint64_t size = tar_number(headers.substr(size_at, size_width));
        char type = headers[type_at];

        headers.remove_prefix(block);
        if (before_entry.find(type) == before_entry.npos ||
            size > headers.size()) {
            return {};
        }
        std::string_view text = headers.substr(0, size);
        headers.remove_prefix(std::min((size + block - 1) & -block,
                                       headers.size()));
        while (type != 'L' && type != 'K') {
            auto [key, value] = next_record(text);

            if (key.empty()) {
                break;
            }
            if ((key == "path" || key == "linkpath" ||
                 key == "GNU.sparse.name") && value.find('\0') != value.npos) {
                return value;
            }
        }
    }
    return {};
}

class Sha256 {
public:
    Sha256()
    {
        if (gnutls_hash_init(&hash_, GNUTLS_DIG_SHA256) < 0) {
            throw std::runtime_error("no SHA-256 from GnuTLS");
        }
    }
    Sha256(const Sha256 &) = delete;
    Sha256 &operator=(const Sha256 &) = delete;
    ~Sha256() { gnutls_hash_deinit(hash_, nullptr); }

    void add(const void *data, size_t size)
    {
        if (gnutls_hash(hash_, data, size) < 0) {
            throw std::runtime_error("SHA-256 of GnuTLS failed");
        }
    }
    std::string text()
    {
        uint8_t digest[32];

        gnutls_hash_output(hash_, digest);
        return "sha256:" + hex(digest);
    }

private:
    gnutls_hash_hd_t hash_;
};

} // namespace

const char *const save_again =
    "Save the container image again, and check that all of it was copied.";
const char *const fix_layer = "Build the container image again without this"
    " entry, or with another tool.";

/* The input of libarchive.  libarchive is C, so no exception may pass it. */
struct ArchiveReader::Source {
    std::exception_ptr thrown;

    virtual ~Source() = default;
    /* The next bytes, valid until the next call; none at the end */
    virtual size_t next(const void **data) = 0;
    virtual uint64_t skip(uint64_t) { return 0; }
    /* Read the rest, and return the digests of all that was read. */
    virtual Digests digests() = 0;
    virtual const Blob *blob() const { return nullptr; }
    /* Bytes that were read not long ago; none if it has them no more */
    virtual Bytes read_again(uint64_t position, uint64_t size) const = 0;

    static la_ssize_t read(archive *a, void *self, const void **data)
    {
        auto &source = *static_cast<Source *>(self);

        try {
            return source.next(data);
        } catch (...) {
            source.thrown = std::current_exception();
            archive_set_error(a, EIO, "cannot be read");
            return ARCHIVE_FATAL;
        }
    }
    static la_int64_t skip_bytes(archive *, void *self, la_int64_t wanted)
    {
        return static_cast<Source *>(self)->skip(std::max<la_int64_t>(wanted,
                                                                      0));
    }
};

struct ArchiveReader::BlobSource : Source {
    BlobSource(const Blob &blob, bool is_hashed)
        : all(blob), position(blob.position), left(blob.size),
          is_hashed(is_hashed),
          piece(std::min<uint64_t>(blob.size, archive_piece_size)) {}

    size_t next(const void **data) override
    {
        *data = piece.data();
        return fill(piece);
    }
    /* Read into all of the buffer, if there is enough left. */
    size_t fill(Bytes &buffer)
    {
        size_t n = std::min<uint64_t>(left, buffer.size());

        all.store->read(position, buffer.data(), n);
        position += n;
        left -= n;
        if (is_hashed) {
            hash.add(buffer.data(), n);
        }
        return n;
    }
    /* Replace the piece by the next bytes; none at the end. */
    void read(Bytes &next_piece)
    {
        next_piece.resize(archive_piece_size);
        next_piece.resize(fill(next_piece));
    }
    uint64_t skip(uint64_t wanted) override
    {
        uint64_t n = std::min(left, wanted);

        position += n;
        left -= n;
        return n;
    }
    Digests digests() override
    {
        const void *data;

        while (next(&data)) {
        }
        std::string digest = hash.text();
        return {digest, digest};
    }
    const Blob *blob() const override { return &all; }
    Bytes read_again(uint64_t position, uint64_t size) const override
    {
        return Blob{all.store, all.position + position, size}.read();
    }

    const Blob all;
    uint64_t position, left;
    const bool is_hashed;
    Bytes piece;
    Sha256 hash;
};

/* A compressed stream that a thread reads */
struct ArchiveReader::Stream {
    virtual ~Stream() = default;
    /* Replace the piece by the next bytes; none at the end. */
    virtual void read(Bytes &piece) = 0;
    /* of all stored bytes, after they were read */
    virtual std::string digest() = 0;
};

/* A stream that libarchive decompresses */
struct ArchiveReader::ArchiveStream : Stream {
    explicit ArchiveStream(std::unique_ptr<ArchiveReader> reader)
        : reader(std::move(reader)), has_data(this->reader->next()) {}

    void read(Bytes &piece) override
    {
        piece.clear();
        if (has_data) {
            reader->read_piece(piece);
        }
    }
    std::string digest() override { return reader->digests().stored; }

    std::unique_ptr<ArchiveReader> reader;
    const bool has_data;        /* false if it is empty */
};

/* Decompressing takes the longest, so another thread reads its input and
 * computes the digest of that. */
struct ArchiveReader::FastGzip : Stream {
    FastGzip(const Blob &blob, std::string name, bool is_hashed)
        : name(std::move(name)), source(blob, is_hashed),
          stream([this](const void **data) { return next(data); }),
          pieces([this](Bytes &piece) { source.read(piece); }) {}

    void read(Bytes &piece) override
    {
        if (const char *error = stream.read(piece)) {
            throw Error(Code::building, name + ": " + error, save_again);
        }
    }
    std::string digest() override
    {
        const void *data;

        while (next(&data)) {
        }
        return source.digests().stored;
    }
    size_t next(const void **data)
    {
        input = pieces.next(std::move(input));
        *data = input.data();
        return input.size();
    }

    const std::string name;
    BlobSource source;
    Bytes input;                /* a piece, which `stream` reads */
    GzipStream stream;
    ReadAhead pieces;           /* last, so that its thread ends first */
};

/* The content of a compressed stream, which a thread decompresses */
struct ArchiveReader::UnpackedSource : Source {
    UnpackedSource(std::unique_ptr<Stream> compressed, ArchiveReader &owner)
        : owner(owner), stream(std::move(compressed)),
          pieces([this](Bytes &piece) { stream->read(piece); }) {}

    size_t next(const void **data) override
    {
        Bytes used;

        if (recent.size() == max_recent) {
            used = std::move(recent.front());
            recent.pop_front();
        }
        recent.push_back(pieces.next(std::move(used)));
        const Bytes &piece = recent.back();
        end += piece.size();
        owner.charge(piece.size());
        hash.add(piece.data(), piece.size());
        *data = piece.data();
        return piece.size();
    }
    Bytes read_again(uint64_t position, uint64_t size) const override
    {
        uint64_t begin = end;
        Bytes found;

        for (const Bytes &piece : recent) {
            begin -= piece.size();
        }
        if (position < begin || position + size > end) {
            return {};
        }
        for (const Bytes &piece : recent) {
            uint64_t from = std::max(position, begin);
            uint64_t to = std::min(position + size, begin + piece.size());

            if (from < to) {
                found.insert(found.end(), piece.begin() + (from - begin),
                             piece.begin() + (to - begin));
            }
            begin += piece.size();
        }
        return found;
    }
    Digests digests() override
    {
        const void *data;

        while (next(&data)) {
        }
        return {stream->digest(), hash.text()};
    }

    /* More than the headers of an entry may take */
    static constexpr size_t max_recent = 16;    /* pieces of 256 KiB */

    ArchiveReader &owner;
    std::unique_ptr<Stream> stream;
    std::deque<Bytes> recent;
    uint64_t end = 0;           /* of these in all */
    Sha256 hash;
    ReadAhead pieces;           /* last, so that its thread ends first */
};

ArchiveReader::ArchiveReader(const Descriptor &file, std::string name,
                             UnpackLimit &limit)
    : name_(std::move(name)), limit_(limit),
      archive_(archive_read_new(), archive_read_free), head_(max_head)
{
    ssize_t n = pread(file.get(), head_.data(), head_.size(), 0);
    head_.resize(n < 0 ? 1 : n);            /* a pipe cannot be examined */
    support_compression();
    check(archive_read_support_format_tar(archive_.get()));
    check(archive_read_open_fd(archive_.get(), file.get(), archive_piece_size));
}

ArchiveReader::ArchiveReader(const Blob &blob, std::string name,
                             UnpackLimit &limit, Form form)
    : name_(std::move(name)), limit_(limit),
      source_(new BlobSource(blob, form != Form::archive)),
      archive_(archive_read_new(), archive_read_free),
      head_(first_bytes(blob))
{
    if (form != Form::tar) {
        support_compression();
    }
    if (form == Form::stream) {
        check(archive_read_support_format_raw(archive_.get()));
        check(archive_read_support_format_empty(archive_.get()));
    } else {
        check(archive_read_support_format_tar(archive_.get()));
    }
    open_source(form == Form::archive);
}

ArchiveReader::ArchiveReader(std::unique_ptr<Stream> stream, const Blob &blob,
                             std::string name, UnpackLimit &limit)
    : name_(std::move(name)), limit_(limit),
      archive_(archive_read_new(), archive_read_free), head_(first_bytes(blob))
{
    check(archive_read_support_format_tar(archive_.get()));
    /* some builders write an empty archive as no bytes */
    check(archive_read_support_format_empty(archive_.get()));
    source_ = std::make_unique<UnpackedSource>(std::move(stream), *this);
    open_source(false);
}

/* A reader that is faster than libarchive, for gzip; null for other files */
std::unique_ptr<ArchiveReader> ArchiveReader::fast(const Blob &blob,
                                                   const std::string &name,
                                                   UnpackLimit &limit,
                                                   bool is_hashed)
{
    Bytes head = first_bytes(blob);

    if (!GzipStream::is_available || head.size() < 2 || head[0] != 0x1f ||
        head[1] != 0x8b) {
        return nullptr;
    }
    return std::unique_ptr<ArchiveReader>(new ArchiveReader(
        std::make_unique<FastGzip>(blob, name, is_hashed), blob, name,
        limit));
}

std::unique_ptr<ArchiveReader> ArchiveReader::open(const Blob &blob,
                                                   const std::string &name,
                                                   UnpackLimit &limit)
{
    if (auto reader = fast(blob, name, limit, false)) {
        return reader;
    }
    return std::unique_ptr<ArchiveReader>(
        new ArchiveReader(blob, name, limit, Form::archive));
}

std::unique_ptr<ArchiveReader> ArchiveReader::layer(const Blob &blob,
                                                    const std::string &name,
                                                    UnpackLimit &limit)
{
    if (auto reader = fast(blob, name, limit, true)) {
        return reader;
    }
    std::unique_ptr<ArchiveReader> stream(
        new ArchiveReader(blob, name, limit, Form::stream));

    if (stream->is_compressed()) {
        return std::unique_ptr<ArchiveReader>(new ArchiveReader(
            std::make_unique<ArchiveStream>(std::move(stream)), blob, name,
            limit));
    }
    return std::unique_ptr<ArchiveReader>(
        new ArchiveReader(blob, name, limit, Form::tar));
}

void ArchiveReader::open_source(bool can_skip)
{
    check(archive_read_open2(archive_.get(), source_.get(), nullptr,
                             Source::read,
                             can_skip ? Source::skip_bytes : nullptr,
                             nullptr));
}

ArchiveReader::~ArchiveReader() = default;

void ArchiveReader::support_compression()
{
    check(archive_read_support_filter_gzip(archive_.get()));
    check(archive_read_support_filter_zstd(archive_.get()));
    /* Without a library, libarchive would run a program, and warns. */
    for (auto support : {archive_read_support_filter_bzip2,
                         archive_read_support_filter_lz4,
                         archive_read_support_filter_lzma,
                         archive_read_support_filter_xz}) {
        if (support(archive_.get()) < ARCHIVE_WARN) {
            fail("libarchive takes no more filters", "Try again with more"
                 " memory.");
        }
    }
}

void ArchiveReader::fail(const std::string &why) const
{
    fail(why, save_again);
}

void ArchiveReader::fail(const std::string &why, const char *advice) const
{
    throw Error(Code::building, name_ + ": " + why, advice);
}

/* A warning is an error, too: a name or an attribute was not understood. */
void ArchiveReader::check(int result) const
{
    if (result == ARCHIVE_OK || result == ARCHIVE_EOF) {
        return;
    }
    if (source_ && source_->thrown) {
        std::rethrow_exception(source_->thrown);
    }
    std::string text = error_text_of(archive_.get());
    if (text == "Unrecognized archive format") {
        fail("not a tar archive: " + describe_format(head_),
             "Give what docker save writes, or an OCI archive.");
    }
    fail(text);
}

archive_entry *ArchiveReader::next()
{
    int result = archive_read_next_header(archive_.get(), &entry_);

    /*
     * Names in pax headers are UTF-8.  libarchive converts them to Unicode's
     * normal form C and to the locale's encoding.  The locale of this program
     * is "C", which has only ASCII.  For other names, libarchive keeps the
     * bytes and returns a warning, which is ignored here.
     */
    if (result != ARCHIVE_WARN || archive_errno(archive_.get()) != EILSEQ) {
        check(result);
    }
    if (result == ARCHIVE_EOF) {
        return nullptr;
    }
    /* In old archives, a directory is a file whose name ends with a slash. */
    const char *name = archive_entry_pathname(entry_);
    if (archive_entry_filetype(entry_) == AE_IFREG && name &&
        std::string_view(name).ends_with('/')) {
        archive_entry_set_filetype(entry_, AE_IFDIR);
    }
    count_entry();
    check_names();
    return entry_;
}

void ArchiveReader::count_entry() const
{
    if (!limit_.entries) {
        fail("the archives have more than 1000000 entries, with the"
             " directories that they imply", make_smaller);
    }
    limit_.entries--;
}

void ArchiveReader::count_name(uint64_t bytes) const
{
    if (bytes > limit_.names) {
        limit_.names = 0;
        fail("the names in the archives have more than 256 MiB", make_smaller);
    }
    limit_.names -= bytes;
}

/*
 * To libarchive a name ends at its first zero byte.  One that a pax header
 * has with such a byte in it would be another name in the image, and docker
 * refuses it; so its headers are looked at once more.
 */
void ArchiveReader::check_names() const
{
    constexpr uint64_t header_size = 512;       /* of most entries */
    constexpr uint64_t max_headers = 3 << 20;   /* libarchive: 1 MiB each */
    uint64_t begin = archive_read_header_position(archive_.get());
    uint64_t size = archive_filter_bytes(archive_.get(), 0) - begin;

    /* What libarchive decompresses cannot be read again: no layer is that. */
    if (size <= header_size || !source_ || is_compressed()) {
        return;
    }
    Bytes headers = size > max_headers ? Bytes()
                                       : source_->read_again(begin, size);
    if (headers.empty()) {
        fail("the headers of an entry have " + std::to_string(size)
             + " bytes, which is too much", fix_layer);
    }
    std::string_view name = name_with_zero(
        {reinterpret_cast<const char *>(headers.data()), headers.size()});
    if (!name.empty()) {
        std::string shown;

        for (char c : name) {
            shown += c ? std::string(1, c) : "\\x00";
        }
        fail("a name has a zero byte in it: " + shown, fix_layer);
    }
}

bool ArchiveReader::is_compressed() const
{
    /* The last filter is the source itself. */
    return archive_filter_count(archive_.get()) > 1;
}

/* The data of a sparse file is in pieces, with a map of them. */
bool ArchiveReader::is_in_place() const
{
    return source_ && source_->blob() && !is_compressed() &&
           archive_entry_size_is_set(entry_) &&
           archive_entry_sparse_count(entry_) == 0;
}

Blob ArchiveReader::data(const std::shared_ptr<Spool> &spool)
{
    if (!is_in_place()) {
        return unpack(spool);
    }
    const Blob &all = *source_->blob();
    /* The headers have been read; the data comes next. */
    uint64_t at = archive_filter_bytes(archive_.get(), 0);
    uint64_t size = archive_entry_size(entry_);
    if (at > all.size || size > all.size - at) {
        fail("the archive is cut short");
    }
    return {all.store, all.position + at, size};
}

ArchiveReader::Digests ArchiveReader::digests()
{
    return source_->digests();
}

/* The next block of the entry's data, valid until the next call */
std::optional<ArchiveReader::Block> ArchiveReader::next_block()
{
    const void *data;
    size_t size;
    la_int64_t offset;
    int result = archive_read_data_block(archive_.get(), &data, &size,
                                         &offset);

    check(result);
    if (result == ARCHIVE_EOF) {
        return {};
    }
    if (offset < 0) {
        fail("data at a negative offset");
    }
    return Block{{static_cast<const uint8_t *>(data), size},
                 static_cast<uint64_t>(offset)};
}

/* The next bytes of a stream, joined from small blocks of libarchive */
void ArchiveReader::read_piece(Bytes &piece)
{
    constexpr size_t enough = 256 << 10;

    while (piece.size() < enough) {
        std::optional<Block> block = next_block();

        if (!block) {
            return;
        }
        piece.insert(piece.end(), block->data.begin(), block->data.end());
    }
}

void ArchiveReader::charge(uint64_t bytes)
{
    if (bytes > limit_.bytes) {
        limit_.bytes = 0;
        fail("more would be unpacked than the allowed 16 GiB", make_smaller);
    }
    limit_.bytes -= bytes;
}

Blob ArchiveReader::unpack(const std::shared_ptr<Spool> &spool)
{
    uint64_t size = 0;
    /* UnpackedSource has already charged for all bytes except the holes. */
    bool is_charged = source_ && !source_->blob() &&
                      archive_entry_sparse_count(entry_) == 0;
    auto grow = [&](uint64_t end) {
        uint64_t more = end > size ? end - size : 0;

        charge(is_charged ? 0 : more);
        size += more;
    };

    while (std::optional<Block> block = next_block()) {
        grow(block->offset + block->data.size());
        spool->write(block->offset, block->data.data(), block->data.size());
    }
    /* A sparse file may end in a hole. */
    if (archive_entry_size_is_set(entry_) && archive_entry_size(entry_) > 0) {
        grow(archive_entry_size(entry_));
    }
    Blob blob = {spool, spool->begin(), size};
    spool->finish(size);
    return blob;
}

Bytes Blob::read() const
{
    Bytes data(size);

    if (size) {
        store->read(position, data.data(), data.size());
    }
    return data;
}

std::string sha256_of(const Blob &blob)
{
    Bytes piece(std::min<uint64_t>(archive_piece_size, blob.size));
    Sha256 hash;

    for (uint64_t done = 0; done < blob.size;) {
        size_t n = std::min<uint64_t>(piece.size(), blob.size - done);

        blob.store->read(blob.position + done, piece.data(), n);
        hash.add(piece.data(), n);
        done += n;
    }
    return hash.text();
}
