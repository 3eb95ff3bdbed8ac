"""A toy provider as another package would bring it: copied, and installed, where a test needs one."""
