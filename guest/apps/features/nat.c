/*
 * Network address translation, as nftables and as iptables set it up
 *
 * Either has one rule, which redirects to one port whatever this host sends.
 * The messages are those that the two programs send: see
 * <linux/netfilter/nf_tables.h> and <linux/netfilter_ipv4/ip_tables.h>.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>

#include "features.h"

#define ASKED_PORT      7001
#define REAL_PORT       7002
#define DSTNAT_PRIORITY (-100)

/* A connection to a port where nobody listens comes to the other. */
static void check_redirection(int family)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons(REAL_PORT) };
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_addr = { htonl(INADDR_LOOPBACK) },
                              .sin_port = htons(REAL_PORT) };
    struct sockaddr *name = family == AF_INET ? (struct sockaddr *)&v4
                                              : (struct sockaddr *)&v6;
    socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
    int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(listener >= 0 && client >= 0);
    CHECK(!bind(listener, name, size));
    CHECK(!listen(listener, 1));
    v4.sin_port = v6.sin6_port = htons(ASKED_PORT);
    CHECK(!connect(client, name, size));
    CHECK(accept(listener, NULL, NULL) >= 0);
}

/* nftables */

struct batch {
    char data[4096];
    size_t size;
    struct nlmsghdr *message;       /* the one that is being written */
};

static void *append(struct batch *batch, const void *data, size_t size)
{
    void *at = batch->data + batch->size;

    if (size) {
        memcpy(at, data, size);
    }
    batch->size += NLMSG_ALIGN(size);
    return at;
}

static void begin(struct batch *batch, int type, int flags, int family,
                  int resource)
{
    struct nlmsghdr head = { .nlmsg_type = type,
                             .nlmsg_flags = NLM_F_REQUEST | flags };
    struct nfgenmsg about = { .nfgen_family = family, .version = NFNETLINK_V0,
                              .res_id = htons(resource) };

    batch->message = append(batch, &head, sizeof(head));
    append(batch, &about, sizeof(about));
}

static void end(struct batch *batch)
{
    batch->message->nlmsg_len = batch->data + batch->size
                                - (char *)batch->message;
}

static struct nlattr *put(struct batch *batch, int type, const void *data,
                          size_t size)
{
    struct nlattr head = { .nla_type = type, .nla_len = NLA_HDRLEN + size };
    struct nlattr *at = append(batch, &head, sizeof(head));

    append(batch, data, size);
    return at;
}

static void put_text(struct batch *batch, int type, const char *text)
{
    put(batch, type, text, strlen(text) + 1);
}

static void put_number(struct batch *batch, int type, uint32_t number)
{
    number = htonl(number);
    put(batch, type, &number, sizeof(number));
}

static struct nlattr *open_nest(struct batch *batch, int type)
{
    return put(batch, type | NLA_F_NESTED, NULL, 0);
}

static void close_nest(struct batch *batch, struct nlattr *nest)
{
    nest->nla_len = batch->data + batch->size - (char *)nest;
}

static void put_change(struct batch *batch, int type)
{
    begin(batch, NFNL_SUBSYS_NFTABLES << 8 | type,
          NLM_F_ACK | NLM_F_CREATE | NLM_F_APPEND, NFPROTO_IPV4, 0);
}

/* table ip t { chain c { type nat hook output priority dstnat; } } */
static void put_chain(struct batch *batch)
{
    struct nlattr *hook;

    put_change(batch, NFT_MSG_NEWTABLE);
    put_text(batch, NFTA_TABLE_NAME, "t");
    end(batch);

    put_change(batch, NFT_MSG_NEWCHAIN);
    put_text(batch, NFTA_CHAIN_TABLE, "t");
    put_text(batch, NFTA_CHAIN_NAME, "c");
    hook = open_nest(batch, NFTA_CHAIN_HOOK);
    put_number(batch, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
    put_number(batch, NFTA_HOOK_PRIORITY, DSTNAT_PRIORITY);
    close_nest(batch, hook);
    put_text(batch, NFTA_CHAIN_TYPE, "nat");
    end(batch);
}

/* redirect to :REAL_PORT */
static void put_redirection(struct batch *batch)
{
    uint16_t port = htons(REAL_PORT);
    struct nlattr *list, *element, *expression, *value;

    put_change(batch, NFT_MSG_NEWRULE);
    put_text(batch, NFTA_RULE_TABLE, "t");
    put_text(batch, NFTA_RULE_CHAIN, "c");
    list = open_nest(batch, NFTA_RULE_EXPRESSIONS);

    element = open_nest(batch, NFTA_LIST_ELEM);
    put_text(batch, NFTA_EXPR_NAME, "immediate");
    expression = open_nest(batch, NFTA_EXPR_DATA);
    put_number(batch, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    value = open_nest(batch, NFTA_IMMEDIATE_DATA);
    put(batch, NFTA_DATA_VALUE, &port, sizeof(port));
    close_nest(batch, value);
    close_nest(batch, expression);
    close_nest(batch, element);

    element = open_nest(batch, NFTA_LIST_ELEM);
    put_text(batch, NFTA_EXPR_NAME, "redir");
    expression = open_nest(batch, NFTA_EXPR_DATA);
    put_number(batch, NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1);
    close_nest(batch, expression);
    close_nest(batch, element);

    close_nest(batch, list);
    end(batch);
}

static void check_answers(int fd, int count)
{
    while (count > 0) {
        char data[4096];
        int size = recv(fd, data, sizeof(data), 0);

        CHECK(size > 0);
        for (struct nlmsghdr *head = (struct nlmsghdr *)data;
             NLMSG_OK(head, (unsigned)size); head = NLMSG_NEXT(head, size)) {
            struct nlmsgerr *error = NLMSG_DATA(head);

            CHECK(head->nlmsg_type == NLMSG_ERROR);
            errno = -error->error;
            CHECK(!error->error);
            count--;
        }
    }
}

void use_nftables(void)
{
    static struct batch batch;
    int fd;

    enter_new_network();
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    CHECK(fd >= 0);
    begin(&batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end(&batch);
    put_chain(&batch);
    put_redirection(&batch);
    begin(&batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end(&batch);
    CHECK(send(fd, batch.data, batch.size, 0) == (ssize_t)batch.size);
    check_answers(fd, 3);
    check_redirection(AF_INET);
}

/*
 * iptables and ip6tables: a table is read, changed, and written back as a
 * whole.  Their structures, but for the rule, and their numbers are the same.
 */

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
               sizeof(struct ipt_replace) == sizeof(struct ip6t_replace) &&
               IPT_SO_SET_REPLACE == IP6T_SO_SET_REPLACE &&
               IPT_SO_GET_INFO == IP6T_SO_GET_INFO &&
               IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES,
               "one function serves both");

/* Put a rule before all others of the chain OUTPUT in the table "nat". */
static void insert_rule(int family, int level, const void *rule, size_t size)
{
    struct ipt_getinfo info = { .name = "nat" };
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    struct ipt_get_entries *table;
    struct ipt_replace *change;
    socklen_t length = sizeof(info);
    unsigned at;

    CHECK(fd >= 0);
    CHECK(!getsockopt(fd, level, IPT_SO_GET_INFO, &info, &length));
    length = sizeof(*table) + info.size;
    table = calloc(1, length);
    change = calloc(1, sizeof(*change) + info.size + size);
    CHECK(table && change);
    memcpy(table->name, info.name, sizeof(table->name));
    table->size = info.size;
    CHECK(!getsockopt(fd, level, IPT_SO_GET_ENTRIES, table, &length));

    at = info.hook_entry[NF_INET_LOCAL_OUT];
    memcpy(change->name, info.name, sizeof(change->name));
    change->valid_hooks = info.valid_hooks;
    change->num_entries = info.num_entries + 1;
    change->size = info.size + size;
    for (int hook = 0; hook < NF_INET_NUMHOOKS; hook++) {
        change->hook_entry[hook] = info.hook_entry[hook]
            + (info.hook_entry[hook] > at ? size : 0);
        change->underflow[hook] = info.underflow[hook]
            + (info.underflow[hook] >= at ? size : 0);
    }
    memcpy(change->entries, table->entrytable, at);
    memcpy((char *)change->entries + at, rule, size);
    memcpy((char *)change->entries + at + size,
           (char *)table->entrytable + at, info.size - at);
    change->num_counters = info.num_entries;
    change->counters = calloc(info.num_entries, sizeof(*change->counters));
    CHECK(change->counters);
    CHECK(!setsockopt(fd, level, IPT_SO_SET_REPLACE, change,
                      sizeof(*change) + change->size));
}

void use_iptables(void)
{
    struct rule {
        struct ipt_entry entry;
        struct xt_entry_target target;
        struct nf_nat_ipv4_multi_range_compat range;
    } __attribute__((aligned(8))) rule = {
        .entry = {
            .ip = { .proto = IPPROTO_TCP },
            .target_offset = sizeof(rule.entry),
            .next_offset = sizeof(rule),
        },
        .target.u.user = {
            .name = "REDIRECT",
            .target_size = sizeof(rule) - sizeof(rule.entry),
        },
        .range = {
            .rangesize = 1,
            .range = { { .flags = NF_NAT_RANGE_PROTO_SPECIFIED,
                         .min.all = htons(REAL_PORT),
                         .max.all = htons(REAL_PORT) } },
        },
    };

    enter_new_network();
    insert_rule(AF_INET, SOL_IP, &rule, sizeof(rule));
    check_redirection(AF_INET);
}

void use_ip6tables(void)
{
    struct rule {
        struct ip6t_entry entry;
        struct xt_entry_target target;
        struct nf_nat_range range;
    } __attribute__((aligned(8))) rule = {
        .entry = {
            .ipv6 = { .proto = IPPROTO_TCP, .flags = IP6T_F_PROTO },
            .target_offset = sizeof(rule.entry),
            .next_offset = sizeof(rule),
        },
        .target.u.user = {
            .name = "REDIRECT",
            .target_size = sizeof(rule) - sizeof(rule.entry),
        },
        .range = {
            .flags = NF_NAT_RANGE_PROTO_SPECIFIED,
            .min_proto.all = htons(REAL_PORT),
            .max_proto.all = htons(REAL_PORT),
        },
    };

    enter_new_network();
    insert_rule(AF_INET6, SOL_IPV6, &rule, sizeof(rule));
    check_redirection(AF_INET6);
}
