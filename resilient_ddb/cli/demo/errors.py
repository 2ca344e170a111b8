"""What ends the demo with one line instead of a traceback."""


class DemoError(Exception):
    """The demo can't run here; the text says why, and what helps."""
