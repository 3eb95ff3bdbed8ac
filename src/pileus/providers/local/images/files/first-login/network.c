/* One DHCP lease, and what goes with it, given to the first interface. */
#include "network.h"
#include "files.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INTERFACE "eth0"
#define PATIENCE 5.0

struct lease {
    struct in_addr address, mask, server, router;
    uint32_t seconds;
    uint16_t mtu;
    char domain[256];
    struct in_addr resolvers[4];
    int resolver_count;
    unsigned char routes[255];
    int routes_size;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* -- DHCP (RFC 2131, 2132, 3442) --------------------------------------------------------------------------------- */

struct message {
    unsigned char op, htype, hlen, hops;
    uint32_t xid;
    uint16_t secs, flags;
    uint32_t ciaddr, yiaddr, siaddr, giaddr;
    unsigned char chaddr[16], sname[64], file[128];
    uint32_t cookie;
    unsigned char options[308];
} __attribute__((packed));

struct datagram {
    unsigned char version, tos;
    uint16_t length, id, fragment;
    unsigned char ttl, protocol;
    uint16_t check;
    uint32_t from, to;
    uint16_t from_port, to_port, size, sum;
    struct message message;
} __attribute__((packed));

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, IP_SIZE = 20, UDP_SIZE = 8, COOKIE = 0x63825363 };

static uint16_t checksum(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t sum = 0;
    for (size_t at = 0; at + 1 < size; at += 2)
        sum += (uint32_t)bytes[at] << 8 | bytes[at + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static int say(int link, int index, const unsigned char *mac, uint32_t xid, int kind, const struct lease *offer)
{
    static const unsigned char wanted[] = {1, 3, 6, 15, 26, 51, 54, 121};
    struct sockaddr_ll to = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = index, .sll_halen = 6
    };
    struct datagram sent = {0};
    unsigned char *option = sent.message.options;
    memset(to.sll_addr, 0xff, 6);
    sent.message.op = 1;
    sent.message.htype = 1;
    sent.message.hlen = 6;
    sent.message.xid = xid;
    sent.message.cookie = htonl(COOKIE);
    memcpy(sent.message.chaddr, mac, 6);
    *option++ = 53, *option++ = 1, *option++ = (unsigned char)kind;
    if (kind == REQUEST) {
        *option++ = 50, *option++ = 4;
        memcpy(option, &offer->address, 4), option += 4;
        *option++ = 54, *option++ = 4;
        memcpy(option, &offer->server, 4), option += 4;
    }
    *option++ = 55, *option++ = sizeof wanted;
    memcpy(option, wanted, sizeof wanted), option += sizeof wanted;
    *option = 255;
    sent.version = 0x45;
    sent.length = htons(sizeof sent);
    sent.ttl = 64;
    sent.protocol = IPPROTO_UDP;
    sent.to = INADDR_BROADCAST;
    sent.check = checksum(&sent, IP_SIZE);
    sent.from_port = htons(68);
    sent.to_port = htons(67);
    sent.size = htons(sizeof sent - IP_SIZE);
    return sendto(link, &sent, sizeof sent, 0, (struct sockaddr *)&to, sizeof to) == sizeof sent ? 0 : -1;
}

/* What an answer of `size` bytes grants; its kind, 0 for what is none to us. */
static int understand(const unsigned char *data, size_t size, uint32_t xid, struct lease *lease)
{
    const size_t before = offsetof(struct message, options);
    const struct message *message;
    const unsigned char *option, *end;
    size_t header = (size_t)(data[0] & 15) * 4;
    int kind = 0;
    if (size < IP_SIZE || data[0] >> 4 != 4 || data[9] != IPPROTO_UDP || header < IP_SIZE)
        return 0;
    if (size < header + UDP_SIZE + before || (data[header + 2] << 8 | data[header + 3]) != 68)
        return 0;
    message = (const void *)(data + header + UDP_SIZE);
    if (message->op != 2 || message->xid != xid || message->cookie != htonl(COOKIE))
        return 0;
    memset(lease, 0, sizeof *lease);
    memcpy(&lease->address, &message->yiaddr, 4);
    end = data + size;
    for (option = message->options; option < end && *option != 255;) {
        int code = *option++, length;
        const unsigned char *value;
        if (code == 0)
            continue;
        if (option >= end || option + 1 + (length = *option) > end)
            break;
        value = option + 1;
        option = value + length;
        if (code == 53 && length == 1)
            kind = *value;
        else if (code == 1 && length == 4)
            memcpy(&lease->mask, value, 4);
        else if (code == 3 && length >= 4)
            memcpy(&lease->router, value, 4);
        else if (code == 54 && length == 4)
            memcpy(&lease->server, value, 4);
        else if (code == 51 && length == 4)
            lease->seconds = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
        else if (code == 26 && length == 2)
            lease->mtu = (uint16_t)(value[0] << 8 | value[1]);
        else if (code == 6)
            for (; lease->resolver_count < 4 && length >= 4; value += 4, length -= 4)
                memcpy(&lease->resolvers[lease->resolver_count++], value, 4);
        else if (code == 15)
            memcpy(lease->domain, value, (size_t)length);
        else if (code == 121)
            memcpy(lease->routes, value, (size_t)length), lease->routes_size = length;
    }
    return kind;
}

/* The answer of this kind, within `seconds`. */
static int heard(int link, uint32_t xid, int kind, double seconds, struct lease *lease)
{
    unsigned char data[2048];
    double end = now() + seconds, left;
    while ((left = end - now()) > 0) {
        struct pollfd watched = {.fd = link, .events = POLLIN};
        ssize_t size;
        if (poll(&watched, 1, (int)(1000 * left) + 1) <= 0)
            continue;
        size = recv(link, data, sizeof data, 0);
        if (size > 0 && understand(data, (size_t)size, xid, lease) == kind)
            return 0;
    }
    return -1;
}

static int ask_for_lease(int index, const unsigned char *mac, struct lease *lease)
{
    struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = index};
    int link = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
    double end = now() + PATIENCE, pause = 0.25;
    struct lease offer;
    uint32_t xid;
    int failed = -1;
    if (link < 0 || getrandom(&xid, sizeof xid, 0) != sizeof xid)
        return -1;
    if (bind(link, (struct sockaddr *)&here, sizeof here))
        end = 0;
    for (; failed && now() < end; pause *= 2) {
        if (say(link, index, mac, xid, DISCOVER, 0) == 0 && heard(link, xid, OFFER, pause, &offer) == 0
            && say(link, index, mac, xid, REQUEST, &offer) == 0)
            failed = heard(link, xid, ACK, pause, lease);
        else
            usleep(10000);
    }
    close(link);
    return failed || !lease->address.s_addr || !lease->mask.s_addr || !lease->seconds ? -1 : 0;
}

/* -- the address and what goes with it, as dhclient's script has it (rtnetlink(7)) --------------------------------- */

struct order {
    struct nlmsghdr head;
    union {
        struct ifaddrmsg address;
        struct rtmsg route;
    } body;
    char rest[256];
};

static void add(struct order *order, unsigned short kind, const void *value, size_t size)
{
    struct rtattr *attribute = (void *)((char *)order + NLMSG_ALIGN(order->head.nlmsg_len));
    attribute->rta_type = kind;
    attribute->rta_len = (unsigned short)RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), value, size);
    order->head.nlmsg_len = NLMSG_ALIGN(order->head.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static int carried_out(int kernel, struct order *order)
{
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        char rest[1024];
    } answer;
    order->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
    if (send(kernel, order, order->head.nlmsg_len, 0) < 0 || recv(kernel, &answer, sizeof answer, 0) < 0)
        return -1;
    return answer.head.nlmsg_type == NLMSG_ERROR && (answer.error.error == 0 || answer.error.error == -EEXIST) ? 0 : -1;
}

static int give_address(int kernel, int index, const struct lease *lease)
{
    struct order order = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)), .nlmsg_type = RTM_NEWADDR}};
    struct ifa_cacheinfo life = {.ifa_prefered = lease->seconds, .ifa_valid = lease->seconds};
    struct in_addr all = {lease->address.s_addr | ~lease->mask.s_addr};
    order.head.nlmsg_flags = NLM_F_REPLACE;
    order.body.address.ifa_family = AF_INET;
    order.body.address.ifa_prefixlen = (unsigned char)__builtin_popcount(lease->mask.s_addr);
    order.body.address.ifa_index = (unsigned)index;
    add(&order, IFA_LOCAL, &lease->address, 4);
    add(&order, IFA_ADDRESS, &lease->address, 4);
    add(&order, IFA_BROADCAST, &all, 4);
    add(&order, IFA_LABEL, INTERFACE, sizeof INTERFACE);
    add(&order, IFA_CACHEINFO, &life, sizeof life);
    return carried_out(kernel, &order);
}

static int give_route(int kernel, int index, struct in_addr to, int bits, struct in_addr gateway)
{
    struct order order = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)), .nlmsg_type = RTM_NEWROUTE}};
    struct rtmsg *route = &order.body.route;
    route->rtm_family = AF_INET;
    route->rtm_dst_len = (unsigned char)bits;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_BOOT;
    route->rtm_type = RTN_UNICAST;
    route->rtm_scope = gateway.s_addr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    if (bits)
        add(&order, RTA_DST, &to, 4);
    if (gateway.s_addr)
        add(&order, RTA_GATEWAY, &gateway, 4);
    add(&order, RTA_OIF, &index, sizeof index);
    return carried_out(kernel, &order);
}

/* Classless routes are in place of the router (RFC 3442). */
static int give_routes(int kernel, int index, const struct lease *lease)
{
    const unsigned char *at = lease->routes, *end = at + lease->routes_size;
    struct in_addr everywhere = {0};
    if (!lease->routes_size)
        return lease->router.s_addr ? give_route(kernel, index, everywhere, 0, lease->router) : 0;
    while (at < end) {
        struct in_addr to = {0}, gateway;
        int bits = *at++, size = (bits + 7) / 8;
        if (bits > 32 || at + size + 4 > end)
            return -1;
        memcpy(&to, at, (size_t)size);
        memcpy(&gateway, at + size, 4);
        at += size + 4;
        if (give_route(kernel, index, to, bits, gateway))
            return -1;
    }
    return 0;
}

static int tell_resolvers(const struct lease *lease)
{
    char text[1024];
    int size = 0;
    if (!lease->resolver_count)
        return 0;
    if (lease->domain[0])
        size = snprintf(text, sizeof text, "domain %s\nsearch %s\n", lease->domain, lease->domain);
    for (int number = 0; number < lease->resolver_count; number++)
        size += snprintf(
            text + size, sizeof text - (size_t)size, "nameserver %s\n", inet_ntoa(lease->resolvers[number]));
    return write_file("/etc/resolv.conf", 0644, text);
}

int join_network(void)
{
    struct ifreq named = {.ifr_name = INTERFACE};
    struct lease lease;
    unsigned char mac[6];
    int index, failed;
    int kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (kernel < 0 || any < 0 || ioctl(any, SIOCGIFHWADDR, &named))
        return -1;
    memcpy(mac, named.ifr_hwaddr.sa_data, 6);
    if (ioctl(any, SIOCGIFINDEX, &named))
        return -1;
    index = named.ifr_ifindex;
    if (ioctl(any, SIOCGIFFLAGS, &named))
        return -1;
    named.ifr_flags |= IFF_UP;
    if (ioctl(any, SIOCSIFFLAGS, &named) || ask_for_lease(index, mac, &lease))
        return -1;
    named.ifr_mtu = lease.mtu;
    if (lease.mtu)
        (void)!ioctl(any, SIOCSIFMTU, &named);
    failed = give_address(kernel, index, &lease) || give_routes(kernel, index, &lease) || tell_resolvers(&lease);
    close(kernel);
    close(any);
    return failed ? -1 : 0;
}
