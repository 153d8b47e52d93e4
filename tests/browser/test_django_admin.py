"""Django's admin, worked with as a person does."""

from support.django_admin import run_django_admin


def test_a_document_is_put_on_the_shelf(browser):
    """Login, a form with a file, its link, logout: pages with their style all the way."""
    with run_django_admin() as running:
        page = browser.page(f"http://127.0.0.1:{running.port()}/shop/admin/")
        page.run("document.querySelector('#id_username').value = 'anna'")
        page.run("document.querySelector('#id_password').value = 'secret'")
        page.click("input[type=submit]")
        page.click("a[href='/shop/admin/shelf/document/add/']")
        assert page.run("document.styleSheets.length && document.styleSheets[0].cssRules.length")
        page.run(
            """
            const input = document.querySelector("#id_file"), files = new DataTransfer();
            files.items.add(new File(["what it says"], "note.txt", {type: "text/plain"}));
            input.files = files.files;
            document.querySelector("#id_title").value = "Größe";
            return true;
            """
        )
        page.click("input[name=_save]")
        assert "Größe" in page.run("document.querySelector('.messagelist').innerText")
        (kept,) = (running.folder("shop") / "data" / "media" / "files").iterdir()
        assert kept.read_text() == "what it says"
        page.click("#logout-form button")
        assert "Logged out" in page.run("document.title")
