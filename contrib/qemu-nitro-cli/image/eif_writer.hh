/*
 * Writing enclave image files (EIF)
 *
 * Sections are written one after the other, without gaps, while they are
 * measured; the header, which needs all of them, comes last.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_IMAGE_EIF_WRITER_HH
#define QEMU_NITRO_CLI_IMAGE_EIF_WRITER_HH

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "image/architecture.hh"
#include "image/content.hh"
#include "image/measurements.hh"
#include "image/signer.hh"
#include "support/atomic_file.hh"
#include "support/bytes.hh"

enum class SectionType : uint16_t {
    kernel = 1, cmdline, ramdisk, signature, metadata
};

class EifWriter {
public:
    struct Header {
        uint16_t version = 4, flags = 0;
        uint64_t default_memory = 1 << 30;      /* bytes */
        uint64_t default_cpus = 2;
    };

    EifWriter(AtomicFile &file, const Header &header);

    /* The next section, whose bytes follow; throws if 32 are there. */
    void begin(SectionType type, uint64_t size);
    void add(const uint8_t *data, size_t size);
    /* A section as a whole */
    void add(SectionType type, const Content &content);

    /*
     * Sign, if there is a signer, write the header, and tell what the image
     * measures.  The file is complete then, but not in its place.
     */
    Measurements finish(const Signer *signer);

private:
    struct Section {
        SectionType type;
        uint64_t offset, size;
    };

    void write(const void *data, size_t size);
    Bytes header(uint64_t body_size) const;

    AtomicFile &file_;
    Header header_;
    std::vector<Section> sections_;
    uint64_t end_;                  /* of what is written, in the file */
    uint32_t crc_ = 0;              /* of all behind the header */
    unsigned ramdisks_ = 0;         /* that have begun */
    Measurer pcr0_, pcr1_, pcr2_;
};

/* What an image is made of */
struct EifParts {
    Architecture architecture = x86_64;
    ContentPtr kernel;
    std::string cmdline;
    std::string metadata;           /* JSON */
    std::vector<ContentPtr> ramdisks;
};

/*
 * Write an image in the order of AWS's builder: kernel, command line,
 * metadata, ramdisks, signature.  The caller commits the file.
 */
Measurements write_eif(AtomicFile &file, const EifParts &parts,
                       const Signer *signer);

#endif
