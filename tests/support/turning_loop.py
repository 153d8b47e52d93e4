"""An event loop that a test turns."""


class Loop:
    """Runs what is to be called soon, a turn at a time."""

    def __init__(self):
        self.soon = []

    def call_soon(self, function):
        self.soon.append(function)

    def turn(self):
        due, self.soon = self.soon, []
        for function in due:
            function()
