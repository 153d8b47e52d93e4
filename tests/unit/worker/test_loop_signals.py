"""loop.add_signal_handler of a worker's event loop: what it takes, and what it refuses."""

import asyncio
import signal

import pytest

from was.worker.asgi import loop as loop_module
from was.worker.asgi.loop import LoopThread


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def thread(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "asyncio":
            patch.setattr(loop_module, "_new_loop", asyncio.new_event_loop)
        thread = LoopThread(4, lambda detail: None)
    yield thread
    thread.stop()


async def coroutine_function():
    pass


REFUSED = [
    (0, print, ValueError),
    (4242, print, ValueError),
    (signal.SIGKILL, print, RuntimeError),
    (signal.SIGCHLD, print, RuntimeError),
    (signal.SIGTERM, coroutine_function, TypeError),
]


@pytest.mark.parametrize(("number", "callback", "error"), REFUSED)
def test_what_asyncio_refuses_is_refused_alike(thread, number, callback, error):
    """The application learns it from the call, with the class of error that it may expect."""

    async def ask():
        asyncio.get_running_loop().add_signal_handler(number, callback)

    with pytest.raises(error):
        thread.run(ask())


def test_the_last_callback_of_a_signal_is_called_until_it_is_removed(thread):
    """Once for each time, on the loop."""
    called = []

    async def ask():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, called.append, 1)
        loop.add_signal_handler(signal.SIGTERM, called.append, 2)

    async def remove():
        return asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    thread.run(ask())
    thread.signals.came(signal.SIGTERM)
    assert thread.run(remove())
    assert called == [2]
    thread.signals.came(signal.SIGTERM)
    assert not thread.run(remove())
    assert called == [2]
