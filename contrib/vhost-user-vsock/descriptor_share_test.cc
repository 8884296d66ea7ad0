/*
 * Tests of descriptor_share.cc
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "descriptor_share.hh"
#include "descriptor.hh"

#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace {

TEST(Descriptors, AtTheBoundAndOneBeyond)
{
    DescriptorShare share;
    std::vector<DescriptorClaim> claims;

    share.set_limit(3);
    for (int i = 0; i < 3; i++) {
        claims.push_back(share.claim());
        EXPECT_TRUE(claims.back());
    }
    EXPECT_FALSE(share.claim());
    EXPECT_FALSE(share.claim());
    EXPECT_EQ(share.used(), 3u);
    claims.pop_back();
    EXPECT_EQ(share.used(), 2u);
    EXPECT_TRUE(share.claim());         /* and given back */
    EXPECT_EQ(share.used(), 2u);
}

TEST(Descriptors, AClaimThatMovesCountsOnce)
{
    DescriptorShare share;
    DescriptorClaim one = share.claim();
    DescriptorClaim two = std::move(one);

    EXPECT_EQ(share.used(), 1u);
    one = share.claim();
    EXPECT_EQ(share.used(), 2u);
    one = std::move(two);
    one = DescriptorClaim();
    two = DescriptorClaim();
    EXPECT_EQ(share.used(), 0u);
}

TEST(Descriptors, AClaimOutlivesItsShare)
{
    DescriptorClaim claim;

    {
        DescriptorShare share;
        claim = share.claim();
    }
    EXPECT_TRUE(claim);
}

TEST(Descriptors, Shares)
{
    EXPECT_EQ(descriptor_share(1000, 10, 1), 1000 - 10 - fixed_descriptors);
    EXPECT_EQ(descriptor_share(1000, 10, 3),
              (1000 - 10 - 3 * fixed_descriptors) / 3);
    EXPECT_EQ(descriptor_share(10 + fixed_descriptors, 10, 1), 0u);
    EXPECT_EQ(descriptor_share(11 + fixed_descriptors, 10, 1), 1u);
    EXPECT_EQ(descriptor_share(5, 10, 2), 0u);
    EXPECT_EQ(descriptor_share(0, 0, 0), 0u);
    EXPECT_GT(descriptor_share(SIZE_MAX, 10, 1), SIZE_MAX / 2);
}

TEST(Descriptors, OfThisProcess)
{
    size_t before = count_descriptors();
    Descriptor one(dup(0));

    EXPECT_EQ(count_descriptors(), before + 1);
}

} // namespace
