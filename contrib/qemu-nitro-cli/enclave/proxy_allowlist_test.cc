/*
 * Tests of proxy_allowlist.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "enclave/proxy_allowlist.hh"

#include "support/test_support.hh"

namespace {

class Allowlist : public DirectoryTest {
protected:
    ProxyAllowlist from(const std::string &text) const
    {
        return ProxyAllowlist(write("proxy.yaml", text));
    }
    int code(const std::string &text) const
    {
        return code_of([&] { from(text); });
    }
};

TEST_F(Allowlist, AllowsWhatItHas)
{
    ProxyAllowlist list = from(
        "# AWS's form\n"
        "allowlist:\n"
        "- {address: kms.us-east-1.amazonaws.com, port: 443}\n"
        "- address: \"10.0.0.1\"\n"
        "  port: '8443'\n"
        "- {address: '2001:db8::1', port: 1}\n"
        "other: [1, 2]\n");

    EXPECT_TRUE(list.allows("kms.us-east-1.amazonaws.com", 443));
    EXPECT_TRUE(list.allows("KMS.us-east-1.AmazonAWS.com.", 443));
    EXPECT_TRUE(list.allows("10.0.0.1", 8443));
    EXPECT_TRUE(list.allows("2001:0db8:0::0001", 1));
    EXPECT_TRUE(list.allows("[2001:db8::1]", 1));
    EXPECT_FALSE(list.allows("kms.us-east-1.amazonaws.com", 80));
    EXPECT_FALSE(list.allows("us-east-1.amazonaws.com", 443));
    EXPECT_FALSE(list.allows("10.0.0.1", 443));
    EXPECT_FALSE(list.allows("10.0.0.2", 8443));
    EXPECT_FALSE(list.allows("2001:db8::2", 1));
    EXPECT_FALSE(list.allows("", 443));
}

TEST_F(Allowlist, OfNothingAllowsNothing)
{
    EXPECT_FALSE(from("allowlist: []").allows("localhost", 443));
}

TEST_F(Allowlist, HasAWSsForm)
{
    for (const char *text : {
             "", "[]", "text", "\xff", "allowlist:", "allowlist: {a: b}",
             "allowlist: text", "whitelist: []", "allowlist: [text]",
             "allowlist: [[a, 1]]", "allowlist: [{port: 1}]",
             "allowlist: [{address: a}]", "allowlist: [{address: '', port: 1}]",
             "allowlist: [{address: [a], port: 1}]",
             "allowlist: [{address: a, port: 0}]",
             "allowlist: [{address: a, port: 65536}]",
             "allowlist: [{address: a, port: -1}]",
             "allowlist: [{address: a, port: x}]",
             "allowlist: [{address: a, port: 1", "a: b: c", "\t- x",
             "allowlist: *none", "%"}) {
        EXPECT_EQ(code(text), 3) << text;
    }
    EXPECT_EQ(code(std::string(100000, '[')), 3);
    EXPECT_EQ(code(std::string("allowlist: [{address: a\0, port: 1}]", 35)), 3);
    EXPECT_EQ(code_of([&] { ProxyAllowlist list(path("none")); }), 19);
    EXPECT_EQ(code_of([&] { ProxyAllowlist list(dir); }), 19);
}

} // namespace
