/*
 * Writing enclave image files (EIF)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "image/eif_writer.hh"

#include <zlib.h>

#include "image/image_measurer.hh"
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
    put<uint16_t>(head, static_cast<uint16_t>(type));
    put<uint16_t>(head, 0);
    put<uint64_t>(head, size);
    write(head.data(), head.size());
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

Measurements EifWriter::finish(Measurements measured, const Signer *signer)
{
    if (signer) {
        Bytes signature = signer->sign(measured.pcr0);

        begin(SectionType::signature, signature.size());
        write(signature.data(), signature.size());
        measured.pcr8 = signer->pcr8();
    }
    Bytes head = header(end_ - header_size);
    file_.write_at(0, head.data(), head.size());
    return measured;
}

Measurements write_eif(AtomicFile &file, const EifParts &parts,
                       const Signer *signer)
{
    using Part = ImageMeasurer::Part;
    EifWriter writer(file, {.flags = parts.architecture.flags});
    ImageMeasurer measurer;
    auto add = [&](SectionType type, const Content &content, Part part) {
        writer.begin(type, content.size());
        content.copy([&](const uint8_t *data, size_t size) {
            writer.write(data, size);
            measurer.add(part, data, size);
        });
    };

    add(SectionType::kernel, *parts.kernel, Part::boot);
    add(SectionType::cmdline, *content_of(parts.cmdline), Part::boot);
    writer.begin(SectionType::metadata, parts.metadata.size());
    writer.write(parts.metadata.data(), parts.metadata.size());
    for (size_t i = 0; i < parts.ramdisks.size(); i++) {
        add(SectionType::ramdisk, *parts.ramdisks[i],
            i == 0 ? Part::boot : Part::application);
    }
    return writer.finish(measurer.finish(), signer);
}
