"""The home that `was init` makes, as a person sees it."""

import pytest
from support.running import run_server
from support.sample import write_sample


@pytest.fixture(scope="module")
def running():
    """One server for the whole file."""
    with run_server(None, write_sample) as server:
        server.allow("worker_died", "request_lost", "application_error")
        yield server


def url(running, site, path=""):
    return f"http://127.0.0.1:{running.port(site)}/{path}"


def test_who_buys_sees_it_counted(running, browser):
    """A form of the shop, posted, shows the page again with one more sold."""
    page = browser.page(url(running, "Shop"))
    assert page.run("document.title") == "Shop"
    page.click("button[value=pear]")
    assert "pear\t4\t1\t" in page.text


def test_files_are_shown_with_style_and_picture(running, browser):
    """Each file as what it is: the style sheet in force, the picture drawn."""
    page = browser.page(url(running, "Static"))
    assert page.run("document.styleSheets[0].cssRules.length") > 0
    assert page.run("document.querySelector('img').naturalWidth") > 0
    page.click("a[href='files/']")
    lines = page.run("document.querySelector('pre').innerText").strip().splitlines()
    assert [line.split()[-1] for line in lines] == ["prices.csv", "read-me.txt"]
    page.click("a[href$='.txt']")
    assert page.run("document.contentType") == "text/plain"
    page.open(url(running, "Static"))
    page.click("a[href='nothing-here']")
    assert "HTTP Error 404.0 - Not Found" in page.text


def test_what_breaks_is_told(running, browser):
    """Repeated where that is right, else 502 as a page that a person can read."""
    page = browser.page(url(running, "Crash", "flaky"))
    assert "attempt 2" in page.text
    page.open(url(running, "Crash", "error"))
    assert "HTTP Error 500" in page.text
    page.open(url(running, "Crash"))
    page.click("form button")
    assert "502" in page.text


def test_two_pages_chat_and_outlive_a_recycling(running, browser):
    """The WebSockets end with 1012, and the pages find the new worker."""
    ana, ben = browser.page(url(running, "Chat")), browser.page(url(running, "Chat"))
    ben.wait("document.querySelector('pre').innerText.includes('2 in the room')")
    ana.run("document.forms[0].text.value = 'hello'; document.querySelector('button').click()")
    ben.wait("document.querySelector('pre').innerText.includes('hello')")
    running.server.command("recycle", "apppool", "chat", "--wait")
    for page in (ana, ben):
        page.wait("document.querySelector('pre').innerText.includes('(ended: 1012)')")
        page.wait("/ended[^]*came/.test(document.querySelector('pre').innerText)")
