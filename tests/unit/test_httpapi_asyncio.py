"""AsyncRequestQueue over a queue whose answers wait for slow clients."""

import asyncio
import threading

from was.httpapi import AsyncRequestQueue, HttpResponse

LIMIT_S = 15


class SlowQueue:
    """Every response waits for its client until the request is cancelled."""

    def __init__(self):
        self.over = threading.Event()
        self.waiting = threading.Semaphore(0)

    def send_response(self, request_id, response, *, more_data, disconnect):
        self.waiting.release()
        self.over.wait(LIMIT_S)
        return request_id

    def cancel_request(self, request_id):
        self.over.set()


def test_slow_clients_hold_up_nobody_else():
    """However many wait: another one's call is carried out."""

    async def serve() -> list[int]:
        queue = SlowQueue()
        served = AsyncRequestQueue(queue)
        sends = [
            asyncio.create_task(served.send_response(number, HttpResponse()))
            for number in range(100)
        ]
        for _ in sends:
            await asyncio.to_thread(queue.waiting.acquire, timeout=LIMIT_S)
        await asyncio.wait_for(served.cancel_request(0), LIMIT_S)
        return await asyncio.gather(*sends)

    assert asyncio.run(serve()) == list(range(100))
