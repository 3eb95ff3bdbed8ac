/* Give eth0 the address, routes and MTU that DHCP has for it, and the machine its resolvers; 0, or -1 within seconds. */
int join_network(void);
