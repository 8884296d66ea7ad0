/*
 * Writing enclave image files (EIF)
 *
 * Sections are written one after the other, without gaps.  The header is
 * written last, because it depends on all sections.
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

    /* Begin the next section; then write its bytes.  Throws if there are 32. */
    void begin(SectionType type, uint64_t size);
    void write(const void *data, size_t size);

    /*
     * Sign the image if there is a signer, and write the header.  The caller
     * has measured the sections.  Returns the measurements, with PCR8 if there
     * is a signer.  The file is then complete, but has no name until commit().
     */
    Measurements finish(Measurements measured, const Signer *signer);

private:
    struct Section {
        SectionType type;
        uint64_t offset, size;
    };

    Bytes header(uint64_t body_size) const;

    AtomicFile &file_;
    Header header_;
    std::vector<Section> sections_;
    uint64_t end_;                  /* the current offset in the file */
    uint32_t crc_ = 0;              /* of all bytes after the header */
};

/* The parts of an image */
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
