"""Every error that subbyte raises on purpose: one paragraph that names the thing, what was found, what was expected."""

from __future__ import annotations


class SubbyteError(Exception):
    """Base of all errors of subbyte; its text is one paragraph for the user, its exit code on the command line is 1."""


class ModelError(SubbyteError):
    """The model file or the data given to it is broken: unreadable, cyclic, ill-typed, out of bounds, wrong shapes."""


class GraphError(SubbyteError):
    """A node of the IR is ill-typed, or a graph breaks the rules of its stage."""


class UnsupportedError(SubbyteError):
    """The model is sound, but something in it has no meaning or no kernel here; the text names the way on."""


class NumericsError(SubbyteError):
    """A number breaks a rule of design.md section 4: a scale that is not positive, an accumulator that may overflow."""


class ToolchainError(SubbyteError):
    """A compiler, emulator or shared library is missing, fails, or does not fit."""
