/*
 * Tests of enclave.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/enclave.hh"

#include <gtest/gtest.h>

namespace {

const std::string id = "i-0123456789abcdef0-enc0123456789abcdef";

Enclave enclave()
{
    Enclave e;

    e.name = "\u00e9 \"name\"";
    e.id = id;
    e.cid = UINT32_MAX - 1;
    e.cpu_ids = {1, 4294967295};
    e.memory_mib = 1 << 24;
    e.state = State::running;
    e.debug_mode = true;
    e.measurements = {{"HashAlgorithm", "h"}, {"PCR0", "00"}};
    e.vsock = {{"ForwardCID", 1}};
    e.messages = {"\u00e9", ""};
    e.supervisor = {10, 11};
    e.qemu = {20, 21};
    e.backend = {30, UINT64_MAX};
    return e;
}

TEST(Enclave, FileHasAll)
{
    const Enclave e = enclave();
    auto back = Enclave::from_file(e.to_file());

    ASSERT_TRUE(back);
    EXPECT_EQ(back->to_file(), e.to_file());
    EXPECT_EQ(back->description(), e.description());
    EXPECT_EQ(back->name, e.name);
    EXPECT_EQ(back->cpu_ids, e.cpu_ids);
    EXPECT_EQ(back->state, State::running);
    EXPECT_EQ(back->qemu.pid, 20);
    EXPECT_EQ(back->backend.start, UINT64_MAX);
}

TEST(Enclave, OrderOfKeys)
{
    EXPECT_EQ(enclave().description().dump(),
              R"({"EnclaveName":"é \"name\"","EnclaveID":")" + id + R"(",)"
              R"("ProcessID":10,"EnclaveCID":4294967294,"NumberOfCPUs":2,)"
              R"("CPUIDs":[1,4294967295],"MemoryMiB":16777216,)"
              R"("State":"RUNNING","Flags":"DEBUG_MODE",)"
              R"("Measurements":{"HashAlgorithm":"h","PCR0":"00"},)"
              R"("AttestedMeasurements":"ZERO","Vsock":{"ForwardCID":1},)"
              R"("Messages":["é",""]})");
}

TEST(Enclave, States)
{
    Enclave e = enclave();

    for (auto [state, word] : {std::pair(State::empty, "EMPTY"),
                               std::pair(State::running, "RUNNING"),
                               std::pair(State::terminating, "TERMINATING")}) {
        e.state = state;
        EXPECT_EQ(e.description()["State"], word);
        EXPECT_EQ(Enclave::from_file(e.to_file())->state, state);
    }
    e.debug_mode = false;
    EXPECT_EQ(e.description()["Flags"], "NONE");
    EXPECT_FALSE(e.description().contains("AttestedMeasurements"));
    e.measurements = nullptr;
    e.messages.clear();
    EXPECT_FALSE(e.description().contains("Messages"));
    EXPECT_FALSE(e.description().contains("Measurements"));
}

TEST(Enclave, FileCutShort)
{
    const std::string text = enclave().to_file();

    for (size_t size = 0; size < text.size() - 2; size++) {
        EXPECT_FALSE(Enclave::from_file(text.substr(0, size))) << size;
    }
}

/* One after the other, each value of the file is made invalid. */
TEST(Enclave, FileOfNonsense)
{
    const auto flat = nlohmann::json::parse(enclave().to_file()).flatten();

    for (const auto &[key, value] : flat.items()) {
        auto broken = flat;

        if (key.find("Measurements") != std::string::npos ||
            key.find("Vsock") != std::string::npos ||
            key.ends_with("NumberOfCPUs") || key.ends_with("ProcessID")) {
            continue;           /* is ignored, or occurs twice */
        }
        broken[key] = value.is_string() ? nlohmann::json(-1)
                                        : nlohmann::json("x");
        EXPECT_FALSE(Enclave::from_file(broken.unflatten().dump())) << key;
    }
    EXPECT_FALSE(Enclave::from_file("[]"));
    EXPECT_FALSE(Enclave::from_file("{}"));
}

TEST(Enclave, Ids)
{
    EXPECT_TRUE(is_enclave_id(id));
    EXPECT_TRUE(is_enclave_id("i-01234567-enc0123456789abcdef"));
    EXPECT_FALSE(is_enclave_id("i-012345678-enc0123456789abcdef"));
    EXPECT_FALSE(is_enclave_id("i--enc0123456789abcdef"));
    EXPECT_FALSE(is_enclave_id(id + id));
    EXPECT_TRUE(is_instance_id("i-0123456789abcdef0"));
    EXPECT_TRUE(is_instance_id("i-01234567"));
    for (const char *text : {"", "i-", "i-0123456789ABCDEF0", "i-0123456",
                             "j-01234567", "i-0123456789abcdef00"}) {
        EXPECT_FALSE(is_instance_id(text)) << text;
    }
    EXPECT_FALSE(is_enclave_id(""));
    EXPECT_FALSE(is_enclave_id(id + "0"));
    EXPECT_FALSE(is_enclave_id(id.substr(1)));
    EXPECT_FALSE(is_enclave_id("i-0123456789ABCDEF0-enc0123456789abcdef"));
    EXPECT_FALSE(is_enclave_id("i-0123456789abcdef0-enc0123456789abcde/"));
    EXPECT_FALSE(is_enclave_id("../0123456789abcdef0-enc123456789abcdef"));
}

} // namespace
