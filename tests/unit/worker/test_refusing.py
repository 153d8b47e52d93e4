"""Errors in place of what was asked for."""

from types import SimpleNamespace

import pytest

from was.worker.interfaces.hresult import E_ACCESSDENIED
from was.worker.interfaces.response import HttpResponse
from was.worker.notifications import FINISH_REQUEST
from was.worker.refusing import refuse, refuse_busy, refuse_method


@pytest.fixture
def context():
    return SimpleNamespace(response=HttpResponse())


def test_a_refusal_says_what_is_wrong_and_ends_the_request(context):
    """Status, sub-status and HRESULT for the log, a sentence for the detailed page."""
    assert refuse(context, 403, 14, E_ACCESSDENIED, "No listing.") == FINISH_REQUEST
    response = context.response
    said = (response.status, response.reason, response.sub_status, response.hresult)
    assert said == (403, "Forbidden", 14, E_ACCESSDENIED)
    assert response.error_description == "No listing."


def test_what_a_client_may_do_instead_is_said(context):
    """405 names the methods that are answered, 503 when to come again."""
    refuse_method(context, "GET, HEAD")
    assert (context.response.status, context.response.get_header("Allow")) == (405, "GET, HEAD")
    refuse_busy(context)
    assert (context.response.status, context.response.sub_status) == (503, 2)
    assert context.response.get_header("Retry-After") == "1"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (413, "Request Entity Too Large"),
        (414, "Request-URI Too Long"),
        (416, "Requested Range Not Satisfiable"),
        (422, "Unprocessable Entity"),
    ],
)
def test_reasons_are_the_same_with_every_python(context, status, reason):
    """Python 3.13 has other words for some of them; a client is told the ones of IIS."""
    refuse(context, status)
    assert context.response.reason == reason
