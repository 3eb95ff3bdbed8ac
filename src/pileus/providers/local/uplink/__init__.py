"""The uplink: a user-space way from the outside network of a cloud to the networks that its machine reaches."""
