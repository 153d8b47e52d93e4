"""TracingModule: what happens to requests for the URLs of httpTracing is in the pool's log."""

from fake_exchange import ask, make_server

SECTION = """<httpTracing><traceUrls>
  <add value="/a.txt" /><add value="/shop/*" /></traceUrls></httpTracing>"""


def events(text):
    lines = [line for line in text.splitlines() if " request_trace " in line]
    return [line.partition(" notification=")[2].split()[0] for line in lines]


def test_the_events_of_a_traced_url(tmp_path, capfd):
    """From the first to the last, each notification between; other URLs leave no line."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.txt").write_text("a")
    server = make_server(tmp_path, SECTION)
    capfd.readouterr()
    assert ask(server, path="/A.txt").status == 404
    traced = events(capfd.readouterr().err)
    assert traced[0] == "GENERAL_REQUEST_START"
    assert traced[-2:] == ["GENERAL_REQUEST_END", "SEND_RESPONSE"]
    assert ask(server, path="/a.txt").status == 200
    text = capfd.readouterr().err
    traced = events(text)
    assert traced[:2] == ["GENERAL_REQUEST_START", "POST_BEGIN_REQUEST"]
    assert traced.index("POST_EXECUTE_REQUEST_HANDLER") < traced.index("UPDATE_REQUEST_CACHE")
    assert traced[-3:] == ["END_REQUEST", "GENERAL_REQUEST_END", "SEND_RESPONSE"]
    assert "status=200.0" in text
    ask(server, path="/shop/x/y")
    assert events(capfd.readouterr().err)
    ask(server, path="/b.txt")
    assert events(capfd.readouterr().err) == []


def test_without_urls_there_is_no_step(tmp_path):
    """The default costs nothing."""
    (application,) = make_server(tmp_path)._applications
    runs = [*application.calls.head, *application.calls.closing]
    steps = [step for run in runs for step in run.steps]
    assert not [s for s in steps if s.registration and s.registration.name == "TracingModule"]
