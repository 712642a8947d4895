"""The error that a command about a stage shows to its user."""


class StageError(Exception):
    """A command on a stage failed. The message is the sentence to show to the user."""
