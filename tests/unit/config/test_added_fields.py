"""Headers of a configuration that no response can have: accepted, not sent, and said."""

import pytest

from was.config.added_fields import why_not_sent


@pytest.mark.parametrize("element", ["customHeaders", "redirectHeaders"])
def test_each_has_a_line(home, element):
    """With its place, its name and what is wrong; of those that are sent nothing is said."""
    inner = """<clear />
      <add name="A B" value="1" />
      <add name="X" value="a&#10;b" />
      <add name="date" value="today" />
      <add name="Server" value="\u00e9" />"""
    web = f"<httpProtocol><{element}>{inner}</{element}></httpProtocol>"
    said = [line.partition(": ")[2] for line in home.server(web=web).config.warnings]
    assert said == [
        f"{element} A B: no effect here, no field of HTTP has such a name",
        f"{element} X: no effect here, no field of HTTP has such a value",
        f"{element} date: no effect here, the listener alone says this field",
    ]


def test_what_is_said_is_what_is_done():
    """A value beyond Latin-1 has no form on the wire; none at all has one."""
    assert why_not_sent("X", "\u20ac")
    assert not why_not_sent("X", "")
