/*
 * Tests of accelerator.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/accelerator.hh"

#include "support/test_support.hh"

namespace {

TEST(Accelerator, Processor)
{
    EXPECT_TRUE(has_virtualization("model\t: vmx\nflags\t\t: fpu vmx sse\n"));
    EXPECT_TRUE(has_virtualization("flags : svm"));
    EXPECT_FALSE(has_virtualization("flags : fpu vmxx\nvmx flags : vmx\n"));
    EXPECT_FALSE(has_virtualization("model : vmx\n"));
    EXPECT_FALSE(has_virtualization(""));
}

TEST(Accelerator, Chosen)
{
    for (const char *name : {"kvm", "tcg"}) {
        setenv("NITRO_CLI_ACCEL", name, 1);
        EXPECT_EQ(choose_accelerator(), name);
    }
    for (const char *name : {"KVM", "hvf", " tcg"}) {
        setenv("NITRO_CLI_ACCEL", name, 1);
        EXPECT_EQ(code_of([] { choose_accelerator(); }), 3) << name;
    }
    for (const char *name : {"", static_cast<const char *>(nullptr)}) {
        name ? setenv("NITRO_CLI_ACCEL", name, 1)
             : unsetenv("NITRO_CLI_ACCEL");
        EXPECT_EQ(choose_accelerator(), kvm_works() ? "kvm" : "tcg");
    }
}

} // namespace
