"""The version of subbyte, in one place."""

VERSION = "0.1.0"
