"""The command line: `subbyte compile | run | verify | bench | explain | opt | list | doctor`."""

from __future__ import annotations

from subbyte.compiler.cli.app import main

__all__ = ["main"]
