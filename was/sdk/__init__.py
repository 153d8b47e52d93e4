"""C headers for compiled ISAPI extensions and filters; `was sdk` prints this folder."""
