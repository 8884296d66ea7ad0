/*
 * The QEMU monitor (QMP) of an enclave, of which the measurements are asked
 *
 * All questions are sent at once, before QEMU reads any.  QEMU answers when it
 * has loaded the image, and so the answers also tell that it has.
 *
 * A guest that has broken out of QEMU writes the answers in its place: they are
 * hostile input.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_ENCLAVE_MONITOR_HH
#define QEMU_NITRO_CLI_ENCLAVE_MONITOR_HH

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "descriptor.hh"

class Monitor {
public:
    enum class State {
        asking,
        answered,               /* all PCRs are known */
        failed,                 /* QEMU sent an error, or no QMP */
    };

    Monitor() = default;        /* not connected */
    /* Send the questions on a socket that is connected to QEMU's monitor. */
    explicit Monitor(Descriptor socket);

    /* To be waited for until it is readable.  Closed when no more answers are
     * expected, so that others can have the monitor. */
    const Descriptor &fd() const { return fd_; }
    State state() const { return state_; }

    /* Read what QEMU sent.  To be called when fd() is readable. */
    void read_answers();

    /* As describe-enclaves prints them.  Only when State::answered. */
    nlohmann::ordered_json measurements() const;

private:
    void take(const std::string &line);
    void fail();

    Descriptor fd_;
    State state_ = State::asking;
    std::string line_;                          /* what has no end yet */
    std::map<std::string, std::string> pcrs_;   /* "PCR0" and its value */
};

#endif
