"""The reasons why a bundle cannot be built. The message of each is the sentence to show."""

from __future__ import annotations


class BundleError(Exception):
    """A package cannot be bundled."""


class CompileError(BundleError):
    """A module cannot be compiled. The message is the compiler's."""


class UnclearCallError(BundleError):
    """A client is used in a form that does not name the operation. The message says where."""


class UnknownImportError(BundleError):
    """A module imports by a computed name and is not listed. The message names it."""


class ChangedCodeError(BundleError):
    """A file does not contain the text that an edit replaces. The message names the file and what to do."""


class RecordError(BundleError):
    """The app's regular expressions cannot be recorded. The message is Python's."""
