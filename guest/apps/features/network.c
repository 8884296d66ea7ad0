/*
 * Interfaces and sockets: tap, tun, packet sockets, IPv6, veth
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "features.h"

#define FRAME_MAX       2048    /* bytes */
#define ARP_TARGET      38      /* where a frame of ARP has the asked address */
#define IP_TARGET       16      /* and where a header of IPv4 has its target */

static void set_up(const char *name)
{
    struct ifreq request = { 0 };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    strcpy(request.ifr_name, name);
    CHECK(!ioctl(fd, SIOCGIFFLAGS, &request));
    request.ifr_flags |= IFF_UP;
    CHECK(!ioctl(fd, SIOCSIFFLAGS, &request));
    close(fd);
}

void enter_new_network(void)
{
    CHECK(!unshare(CLONE_NEWNET));
    set_up("lo");
}

static struct sockaddr_in ipv4(const char *address, unsigned port)
{
    struct sockaddr_in name = { .sin_family = AF_INET,
                                .sin_port = htons(port) };

    CHECK(inet_pton(AF_INET, address, &name.sin_addr) == 1);
    return name;
}

/* Give an interface an address, in a network of 256. */
static void set_address(const char *interface, const char *address)
{
    struct ifreq request = { 0 };
    struct sockaddr_in name = ipv4(address, 0);
    struct sockaddr_in mask = ipv4("255.255.255.0", 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    strcpy(request.ifr_name, interface);
    memcpy(&request.ifr_addr, &name, sizeof(name));
    CHECK(!ioctl(fd, SIOCSIFADDR, &request));
    memcpy(&request.ifr_netmask, &mask, sizeof(mask));
    CHECK(!ioctl(fd, SIOCSIFNETMASK, &request));
    close(fd);
    set_up(interface);
}

static void send_datagram(const char *address)
{
    struct sockaddr_in name = ipv4(address, 7000);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(sendto(fd, "features", 8, 0, (struct sockaddr *)&name,
                 sizeof(name)) == 8);
    close(fd);
}

static int open_tun(const char *name, short kind)
{
    struct ifreq request = { .ifr_flags = kind | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    CHECK(fd >= 0);
    strcpy(request.ifr_name, name);
    CHECK(!ioctl(fd, TUNSETIFF, &request));
    return fd;
}

/*
 * Read frames until one has @magic at @offset and the address @target at
 * @target_offset: IPv6 sends some of its own.
 */
static void await_frame(int fd, int offset, uint16_t magic, int target_offset,
                        const char *target)
{
    struct sockaddr_in name = ipv4(target, 0);
    uint8_t frame[FRAME_MAX];
    uint16_t found;

    for (;;) {
        ssize_t n = read(fd, frame, sizeof(frame));

        CHECK(n > 0);
        memcpy(&found, frame + offset, sizeof(found));
        if (n >= target_offset + 4 && found == magic &&
            !memcmp(frame + target_offset, &name.sin_addr, 4)) {
            return;
        }
    }
}

/* To reach a neighbour, the kernel asks for its address first. */
void use_tap(void)
{
    int fd;

    enter_new_network();
    fd = open_tun("tap0", IFF_TAP);
    set_address("tap0", "10.9.0.1");
    send_datagram("10.9.0.2");
    await_frame(fd, 2 * ETH_ALEN, htons(ETH_P_ARP), ARP_TARGET, "10.9.0.2");
}

void use_tun(void)
{
    int fd;

    enter_new_network();
    fd = open_tun("tun0", IFF_TUN);
    set_address("tun0", "10.9.0.1");
    send_datagram("10.9.0.2");
    /* the version, the header's size and the type of service */
    await_frame(fd, 0, htons(0x4500), IP_TARGET, "10.9.0.2");
}

void use_packet(void)
{
    struct sockaddr_ll name = { .sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_IP) };
    int fd;

    enter_new_network();
    name.sll_ifindex = if_nametoindex("lo");
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));
    CHECK(fd >= 0);
    CHECK(!bind(fd, (struct sockaddr *)&name, sizeof(name)));
    send_datagram("127.0.0.9");
    await_frame(fd, 2 * ETH_ALEN, htons(ETH_P_IP), ETH_HLEN + IP_TARGET,
                "127.0.0.9");
}

void use_ipv6(void)
{
    struct sockaddr_in6 name = { .sin6_family = AF_INET6,
                                 .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t size = sizeof(name);
    int listener, client, server;
    char byte = 0;

    enter_new_network();
    listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && client >= 0);
    CHECK(!bind(listener, (struct sockaddr *)&name, size));
    CHECK(!listen(listener, 1));
    CHECK(!getsockname(listener, (struct sockaddr *)&name, &size));
    CHECK(!connect(client, (struct sockaddr *)&name, size));
    server = accept(listener, NULL, NULL);
    CHECK(server >= 0);
    CHECK(write(client, "6", 1) == 1);
    CHECK(read(server, &byte, 1) == 1 && byte == '6');
}

struct link_request {
    struct nlmsghdr head;
    struct ifinfomsg info;
    char attributes[512];
};

static void *end_of(struct link_request *request)
{
    return (char *)request + NLMSG_ALIGN(request->head.nlmsg_len);
}

static struct rtattr *add(struct link_request *request, int type,
                          const void *data, size_t size)
{
    struct rtattr *attribute = end_of(request);

    attribute->rta_type = type;
    attribute->rta_len = RTA_LENGTH(size);
    if (size) {
        memcpy(RTA_DATA(attribute), data, size);
    }
    request->head.nlmsg_len = NLMSG_ALIGN(request->head.nlmsg_len)
                              + RTA_ALIGN(attribute->rta_len);
    return attribute;
}

static void close_nest(struct link_request *request, struct rtattr *nest)
{
    nest->rta_len = (char *)end_of(request) - (char *)nest;
}

/* A pair of interfaces, one in each of two network namespaces */
static void add_veth(int other_network)
{
    struct link_request request = {
        .head = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
                  .nlmsg_type = RTM_NEWLINK,
                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
                                 | NLM_F_EXCL },
    };
    struct { struct nlmsghdr head; struct nlmsgerr error; char rest[512]; }
        answer;
    struct ifinfomsg info = { 0 };
    struct rtattr *link, *data, *peer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    CHECK(fd >= 0);
    add(&request, IFLA_IFNAME, "veth0", 6);
    link = add(&request, IFLA_LINKINFO, NULL, 0);
    add(&request, IFLA_INFO_KIND, "veth", 4);
    data = add(&request, IFLA_INFO_DATA, NULL, 0);
    peer = add(&request, VETH_INFO_PEER, &info, sizeof(info));
    add(&request, IFLA_IFNAME, "veth1", 6);
    add(&request, IFLA_NET_NS_FD, &other_network, sizeof(other_network));
    close_nest(&request, peer);
    close_nest(&request, data);
    close_nest(&request, link);
    CHECK(send(fd, &request, request.head.nlmsg_len, 0) > 0);
    CHECK(recv(fd, &answer, sizeof(answer), 0) > 0);
    errno = -answer.error.error;
    CHECK(answer.head.nlmsg_type == NLMSG_ERROR && !answer.error.error);
    close(fd);
}

/* A datagram from one namespace arrives in the other. */
void use_veth(void)
{
    struct sockaddr_in name = ipv4("10.9.0.2", 7000);
    int first, second, fd;
    char data[8];

    CHECK(!unshare(CLONE_NEWNET));
    second = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    CHECK(second >= 0);
    CHECK(!unshare(CLONE_NEWNET));
    first = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    CHECK(first >= 0);
    add_veth(second);
    CHECK(!setns(second, CLONE_NEWNET));
    set_address("veth1", "10.9.0.2");
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(!bind(fd, (struct sockaddr *)&name, sizeof(name)));
    CHECK(!setns(first, CLONE_NEWNET));
    set_address("veth0", "10.9.0.1");
    send_datagram("10.9.0.2");
    CHECK(recv(fd, data, sizeof(data), 0) == 8);
    CHECK(!memcmp(data, "features", 8));
}
