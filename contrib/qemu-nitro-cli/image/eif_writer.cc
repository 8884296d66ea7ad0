/*
 * Writing enclave image files (EIF)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/eif_writer.hh"

#include <zlib.h>

#include "support/errors.hh"

namespace {

constexpr size_t max_sections = 32;
constexpr size_t header_size = 548;

template <typename T> void put(Bytes &out, T value)
{
    for (int shift = 8 * sizeof(T) - 8; shift >= 0; shift -= 8) {
        out.push_back(value >> shift);
    }
}

} // namespace

EifWriter::EifWriter(AtomicFile &file, const Header &header)
    : file_(file), header_(header), end_(header_size)
{
    Bytes placeholder(header_size);

    file_.write(placeholder.data(), placeholder.size());
}

void EifWriter::write(const void *data, size_t size)
{
    file_.write(data, size);
    crc_ = crc32_z(crc_, static_cast<const Bytef *>(data), size);
    end_ += size;
}

void EifWriter::begin(SectionType type, uint64_t size)
{
    Bytes head;

    if (sections_.size() == max_sections) {
        throw Error(Code::building, std::to_string(max_sections + 1)
                    + " sections do not fit an image, which has at most "
                    + std::to_string(max_sections), "Use fewer ramdisks.");
    }
    sections_.push_back({type, end_, size});
    ramdisks_ += type == SectionType::ramdisk;
    put<uint16_t>(head, static_cast<uint16_t>(type));
    put<uint16_t>(head, 0);
    put<uint64_t>(head, size);
    write(head.data(), head.size());
}

void EifWriter::add(const uint8_t *data, size_t size)
{
    SectionType type = sections_.back().type;
    bool ramdisk = type == SectionType::ramdisk;

    write(data, size);
    if (type == SectionType::signature || type == SectionType::metadata) {
        return;
    }
    pcr0_.add(data, size);
    (ramdisk && ramdisks_ > 1 ? pcr2_ : pcr1_).add(data, size);
}

void EifWriter::add(SectionType type, const Content &content)
{
    begin(type, content.size());
    content.copy([this](const uint8_t *data, size_t size) {
        add(data, size);
    });
}

Bytes EifWriter::header(uint64_t body_size) const
{
    Bytes out = {'.', 'e', 'i', 'f'};

    put(out, header_.version);
    put(out, header_.flags);
    put(out, header_.default_memory);
    put(out, header_.default_cpus);
    put<uint16_t>(out, 0);
    put<uint16_t>(out, sections_.size());
    for (size_t i = 0; i < max_sections; i++) {
        put<uint64_t>(out, i < sections_.size() ? sections_[i].offset : 0);
    }
    for (size_t i = 0; i < max_sections; i++) {
        put<uint64_t>(out, i < sections_.size() ? sections_[i].size : 0);
    }
    put<uint32_t>(out, 0);
    put<uint32_t>(out, crc32_combine(crc32_z(0, out.data(), out.size()), crc_,
                                     body_size));
    return out;
}

Measurements EifWriter::finish(const Signer *signer)
{
    Measurements m = {pcr0_.finish(), pcr1_.finish(), pcr2_.finish(), {}};

    if (signer) {
        Bytes signature = signer->sign(m.pcr0);

        begin(SectionType::signature, signature.size());
        write(signature.data(), signature.size());
        m.pcr8 = signer->pcr8();
    }
    Bytes head = header(end_ - header_size);
    file_.write_at(0, head.data(), head.size());
    return m;
}

Measurements write_eif(AtomicFile &file, const EifParts &parts,
                       const Signer *signer)
{
    EifWriter writer(file, {.flags = parts.architecture.flags});

    writer.add(SectionType::kernel, *parts.kernel);
    writer.add(SectionType::cmdline, *content_of(parts.cmdline));
    writer.add(SectionType::metadata, *content_of(parts.metadata));
    for (const ContentPtr &ramdisk : parts.ramdisks) {
        writer.add(SectionType::ramdisk, *ramdisk);
    }
    return writer.finish(signer);
}
