"""The command line: `subbyte compile | run | verify | bench | score | explain | opt | list | doctor`."""

from __future__ import annotations

from subbyte.compiler.cli.app import main

__all__ = ["main"]
