"""A worker that wants no Server field sends an empty one."""

import pytest

from was.listener.headers import check_block, without_empty_server


@pytest.mark.parametrize(
    ("block", "left"),
    [
        (b"Server: \r\nX: 1\r\n", b"X: 1\r\n"),
        (b"X: 1\r\nserver:\r\n", b"X: 1\r\n"),
        (b"Server: mine\r\n", b"Server: mine\r\n"),
        (b"X-Server: \r\nServer: \r\n", b"X-Server: \r\n"),
    ],
)
def test_an_empty_server_field_is_none(block, left):
    """It goes, and ours is not added; any other stays as it is."""
    assert check_block(block).has_server
    assert without_empty_server(block) == left
