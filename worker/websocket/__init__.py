"""WebSocket (RFC 6455) in the worker: the handshake, and frames over an upgraded exchange."""
