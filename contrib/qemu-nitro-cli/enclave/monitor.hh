/*
 * Asking QEMU's monitor (QMP) for the measurements of an enclave
 *
 * All commands are sent at once, before QEMU reads any.  QEMU responds when it
 * has loaded the image, so the responses also show that it is loaded.
 *
 * The responses are not trusted: a guest that has taken over QEMU could write
 * them.
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
    /* Send the commands on a socket that is connected to QEMU's monitor. */
    explicit Monitor(Descriptor socket);

    /* When this is readable, call read_answers().  It is closed after the last
     * response, so that other programs can use the monitor. */
    const Descriptor &fd() const { return fd_; }
    State state() const { return state_; }

    /* Read QEMU's responses, when fd() is readable. */
    void read_answers();

    /* As describe-enclaves prints them.  Only when State::answered. */
    nlohmann::ordered_json measurements() const;

private:
    void take(const std::string &line);
    void fail();

    Descriptor fd_;
    State state_ = State::asking;
    std::string line_;                          /* a line without its end */
    std::map<std::string, std::string> pcrs_;   /* "PCR0" and its value */
};

#endif
