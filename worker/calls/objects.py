"""The objects that factories make for a request, and what stands in for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from was.worker.calls.http_module import HttpModule
from was.worker.notifications import (
    CONTINUE,
    FINISH_REQUEST,
    METHODS,
    POST_METHODS,
    RequestNotificationStatus,
)

if TYPE_CHECKING:
    from was.worker.calls.call_lists import CallLists
    from was.worker.interfaces.context import HttpContext

__all__ = ["change_calls", "end_after_this", "make_objects", "mute", "take_verdict"]

Maker = Callable[["HttpContext"], HttpModule]

# Classes that call lists remember: few have more modules.
_MOST_KINDS = 256

_BITS = {
    **{name: (int(bit), False) for bit, name in METHODS.items()},
    **{name: (int(bit), True) for bit, name in POST_METHODS.items()},
}


def make_objects(context: HttpContext) -> list[HttpModule]:
    """The objects of the modules that have one for each request, before the first is called.

    A factory that fails has its exception raised, once; the others' objects are there.
    """
    return _fill(context, context.calls.makers)


def _fill(context: HttpContext, makers: Iterable[Maker]) -> list[HttpModule]:
    objects: list[HttpModule] = []
    context.objects = objects
    add = objects.append
    known = context.calls.kinds
    rest = iter(makers)
    failure: Exception | None = None
    while True:
        try:
            for make in rest:
                made = make(context)
                if type(made) not in known:
                    _check(made, context.calls)
                add(made)
            break
        except Exception as error:  # noqa: BLE001 the others are to see the request's end
            failure = failure or error
            add(Absent())
    if failure is not None:
        raise failure
    return objects


def _keep(module: HttpModule) -> Maker:
    return lambda _context: module


def _check(made: object, calls: CallLists) -> None:
    """The first object of a class: is it a module, and does it want to be disposed of?"""
    if not isinstance(made, HttpModule):
        name = type(made).__name__
        raise TypeError(f"get_http_module returned {name}, which is no HttpModule")
    kind = type(made)
    if len(calls.kinds) < _MOST_KINDS:
        calls.kinds.add(kind)
        calls.disposes |= kind.dispose is not HttpModule.dispose
    else:  # of classes that are made for each request
        calls.disposes = True


def change_calls(context: HttpContext, calls: CallLists) -> None:
    """The request belongs to another path from now on: modules keep the objects they have."""
    before, context.calls = context.calls, calls
    calls.disposes |= before.disposes
    objects = context.objects
    if objects is not None:
        old = {module_id: objects[at] for module_id, at in before.slots.items()}
        known = zip(calls.slots, calls.makers, strict=True)
        _fill(context, [_keep(old.pop(at)) if at in old else make for at, make in known])
        context.retired += old.values()


def end_after_this(context: HttpContext) -> None:
    """An event within the running one was answered FINISH_REQUEST.

    The next module of this request to be called answers the same, in its object's place.
    """
    context.verdict = FINISH_REQUEST
    if context.objects and context.kept is None:
        # In place: a run that is under way holds the list.
        context.kept = context.objects.copy()
        context.objects[:] = [_ENDING] * len(context.kept)


def take_verdict(context: HttpContext) -> None:
    """The request goes on to its end: the modules are in their places again."""
    context.verdict = CONTINUE
    if context.kept is not None and context.objects is not None:
        context.objects[:] = context.kept
        context.kept = None


def mute(context: HttpContext, mask: int, post_mask: int) -> None:
    """No more of these events for the running module, where it has an object a request."""
    slot = context.calls.slots.get(context.current_module)
    for objects in (context.objects, context.kept):
        if objects is not None and slot is not None and objects[slot] is not _ENDING:
            objects[slot] = Muted(objects[slot], mask, post_mask)


class Absent(HttpModule):
    """In place of an object that could not be made: has no part in the request."""


class _Ending(HttpModule):
    """In every object's place, once an event within another one has ended the request."""


class Muted(HttpModule):
    """In place of an object that has disabled some of its deterministic notifications."""

    def __init__(self, module: HttpModule, mask: int, post_mask: int) -> None:
        for name, (bit, is_post) in _BITS.items():
            if bit & (post_mask if is_post else mask) & 0xFFF:
                setattr(self, name, _continue)
            else:
                setattr(self, name, getattr(module, name))
        self.on_async_completion = module.on_async_completion  # type: ignore[method-assign]
        self.dispose = module.dispose  # type: ignore[method-assign]


def _continue(*_: object) -> RequestNotificationStatus:
    return CONTINUE


def _finish(*_: object) -> RequestNotificationStatus:
    return FINISH_REQUEST


def _answer_all(cls: type[HttpModule], answer: Callable[..., RequestNotificationStatus]) -> None:
    for name in _BITS:
        setattr(cls, name, answer)


_answer_all(Absent, _continue)
_answer_all(_Ending, _finish)
_ENDING = _Ending()
