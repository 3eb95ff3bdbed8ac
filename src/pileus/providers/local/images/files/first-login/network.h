/* Give eth0 its address, routes and MTU, and the machine its resolvers, by DHCP; 0, or -1 within seconds. */
int join_network(void);
