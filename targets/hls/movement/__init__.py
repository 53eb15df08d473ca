"""Actors that move codes and leave them as they are: to several readers, into other words, joined and dealt out."""
