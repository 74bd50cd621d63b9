"""Packages that only text needs, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["require"]


def require(package: str, purpose: str) -> Any:
    """Import a package of the extra `text`.

    Parameters
    ----------
    package : str
        As it is imported.
    purpose : str
        What needs it; the message begins with it.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it is not installed; the message says how to install it.

    Examples
    --------
    >>> require("no_such_package", "this example")
    Traceback (most recent call last):
    ImportError: this example needs the package 'no_such_package': pip install 'fastseq-cpu[text]'
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise  # it is there, and something else is missing
        raise ImportError(
            f"{purpose} needs the package {package!r}: pip install 'fastseq-cpu[text]'", name=package
        ) from None
