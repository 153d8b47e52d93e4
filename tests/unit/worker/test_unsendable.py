"""What no message can carry costs no worker: the rest of its batch goes, itself as it can."""

from was.ipc import codec
from was.ipc.messages import BodyPull, Response
from was.ipc.worker_control import RecycleRequested
from was.worker.batches import encode_batches


class Text(str):
    __slots__ = ()


class Data(bytes):
    pass


def test_one_bad_item_of_a_batch_keeps_none_from_being_sent(capfd):
    """A half character in a log line, numbers of more than 64 bits, values of odd kinds."""
    log = "GET /\ud800"
    good = BodyPull(1, 1, 5)
    bad = Response(0xAB, 1, 200, Text("OK"), b"", 4, Data(b"data"), False, log, 1 << 70, -(1 << 70))
    [batch] = encode_batches(7, [good, bad])
    sent = codec.decode_to_listener(batch)
    assert sent.items == [
        good,
        Response(0xAB, 1, 200, "OK", b"", 4, b"data", False, "GET /?", (1 << 63) - 1, -(1 << 63)),
    ]
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "request=ab" in lines[0]


def test_what_a_worker_tells_its_manager_can_be_sent():
    """An application may give any words for a reason."""
    told = RecycleRequested(1, "IsapiUnhealthy", Text("it is \udcff"))
    assert codec.decode_to_manager(codec.encode(codec.cleaned(told))) == RecycleRequested(
        1, "IsapiUnhealthy", "it is ?"
    )
