import pytest

from was.config.callables import ApplicationReference, reference_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("shop", ApplicationReference("shop", "")),
        ("shop.wsgi:application", ApplicationReference("shop.wsgi", "application")),
        ("shop:site.app", ApplicationReference("shop", "site.app")),
        ("shop:make()", ApplicationReference("shop", "make", True)),
        (
            "shop:site.make('a (b)', -1, debug=True, paths=['x', None])",
            ApplicationReference(
                "shop", "site.make", True, ("a (b)", -1), {"debug": True, "paths": ["x", None]}
            ),
        ),
    ],
)
def test_an_application_is_named_or_made(text, found):
    """A module, a name in it, and for a factory the literals that it is called with."""
    assert reference_of(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop:",
        ":app",
        "a-b:c",
        "shop:1app",
        "shop:make(",
        "shop:make)",
        "shop:make()()",
        "shop:make(),(1)",
        "shop:make().app",
        "shop:make(name)",
        "shop:make(open('f'))",
        "shop:make(*[1])",
        "shop:make(**{'a': 1})",
        "shop:make([i for i in 'ab'])",
        "shop:make('\0')",
        f"shop:make({'[' * 5000})",
        f"shop:make({'-' * 100_000}1)",
    ],
)
def test_what_is_no_literal_is_not_evaluated(text):
    """A configuration names code and never is any, and no text of it ends the process."""
    assert reference_of(text) is None
