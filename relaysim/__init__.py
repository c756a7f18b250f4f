"""relaysim: a chat relay over a conversation API, and the deterministic simulator that judges it.

    relaysim.relay      the relay, for production; needs nothing of the rest
    relaysim.sim        the simulator: one world from one seed
    relaysim.scenarios  scenario files, and the command `relaysim`
    relaysim.reports    results as text, pages and figures

In the repository each of the four is a folder at the top, to which a link in this one leads; in an installed package
they are here.
"""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """`__version__`, looked up when somebody asks, since the look-up takes longer than the whole import."""
    if name == "__version__":
        from importlib.metadata import version

        return version("relaysim")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
