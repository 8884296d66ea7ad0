/*
 * Tests of the names of vsock connections
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "vsock_name.hh"

#include <gtest/gtest.h>
#include <sys/un.h>

TEST(VsockName, SurvivesTheWay)
{
    for (VsockName end : {VsockName{16, 1025}, VsockName{0, 0},
                          VsockName{4294967295, 4294967295}}) {
        std::string name = vsock_name(end);
        auto parsed = parse_vsock_name(name);

        ASSERT_TRUE(parsed);
        EXPECT_EQ(parsed->cid, end.cid);
        EXPECT_EQ(parsed->port, end.port);
        EXPECT_LT(name.size(), sizeof(sockaddr_un::sun_path));
        EXPECT_NE(vsock_name(end), name);
    }
}

TEST(VsockName, OtherNamesAreNone)
{
    using std::string;

    for (const string &name : {
             string(), string(1, '\0'), string("nitro-vsock/1/2/3"),
             string("\0nitro-vsock/", 13), string("\0nitro-vsock/1/2", 16),
             string("\0nitro-vsock/1", 14), string("\0nitro-vsock//2/3", 17),
             string("\0nitro-vsock/1//3", 17),
             string("\0nitro-vsock/x/2/3", 18),
             string("\0nitro-vsock/1/-2/3", 19),
             string("\0nitro-vsock/4294967296/2/3", 27),
             string("/tmp/nitro-vsock/1/2/3") }) {
        EXPECT_FALSE(parse_vsock_name(name)) << name;
    }
}
