"""Names that nobody knows: the error says which one may have been meant, and where it belongs."""

import pytest

from was.config.nearest import WITH_HINTS, meant


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("maxProcess", ["maxProcesses", "idleTimeout"], "maxProcesses"),
        ("processmodel", ["processModel"], "processModel"),
        ("Wsgi", ["WsgiModule", "CgiModule"], "WsgiModule"),
        ("RubyModule", ["WsgiModule", "CgiModule"], ""),
        ("a", ["add"], ""),
        ("location", ["location"], ""),  # in a place where there is none
        ("x" * 100_000, ["x" * 100_001], ""),
    ],
)
def test_a_near_name_is_given_and_a_far_one_is_not(name, known, hint):
    """Another letter case, a letter too many or few, the beginning of the only one that has it."""
    assert meant(name, known) == (f"; did you mean '{hint}'?" if hint else "")


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        (
            '<add name="p" queuelength="5" />',
            "attribute 'queuelength'; did you mean 'queueLength'?",
        ),
        ('<add name="p"><Cpu /></add>', "Unrecognized element 'Cpu'; did you mean 'cpu'?"),
        ('<ad name="p" />', "Unrecognized element 'ad'; did you mean 'add'?"),
    ],
)
def test_a_misspelt_name_is_put_right_by_the_error(home, pools, message):
    """Who has mistyped a name need not look for the right one."""
    assert any(message in error.message for error in home.errors(pools=pools))


def test_a_section_in_the_wrong_group_is_told_its_place(home):
    """`handlers` beside the sites belongs into system.webServer."""
    (error,) = home.errors(host="<handlers />")
    assert error.message == (
        "Unrecognized element 'handlers'; its place is system.webServer/handlers"
    )


def test_a_misspelt_group_is_put_right(home):
    """The groups of sections are names like all others."""
    (error,) = home.errors(more="<system.webserver />")
    assert error.message.endswith("did you mean 'system.webServer'?")


def test_a_misspelt_module_is_put_right_in_place_of_a_list_of_all(home):
    """Thirty names are no help to who has mistyped one."""
    (error,) = home.errors(
        web='<handlers><add name="h" path="*" verb="*" modules="Cgi" /></handlers>'
    )
    assert error.message.endswith("globalModules; did you mean 'CgiModule'?")


def test_only_the_first_faults_are_given_hints(home):
    """A file of nothing but faults is refused as fast as before."""
    pools = "".join(f'<add name="p{n}" queuelength="5" />' for n in range(3 * WITH_HINTS))
    hinted = [error for error in home.errors(pools=pools) if "did you mean" in error.message]
    assert len(hinted) == WITH_HINTS
