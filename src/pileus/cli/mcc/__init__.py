"""The mcc tools: MiniCloud's commands, to the byte, over `pileus.mcc`. They need Python's standard library alone."""
