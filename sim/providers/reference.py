"""The end of docs/providers.md, written from the providers' modules: `python -m relaysim.sim.providers.reference`."""

from __future__ import annotations

import sys

from relaysim.sim.providers import PROVIDERS, Provider


def reference() -> str:
    """The end of that page: a section for each provider."""
    return "\n".join(_section(each) for each in PROVIDERS)


def _section(kind: type[Provider]) -> str:
    text = (sys.modules[kind.__module__].__doc__ or "").strip()
    title, _, rest = text.partition("\n")
    provider = kind()
    title = title.split(" Grades as in")[0].rstrip(".")
    name = kind.model_fields["kind"].default
    variables = ", ".join(f"`{each}`" for each in provider.environment)
    hosts = ", ".join(f"`{each}`" for each in provider.sending_hosts)
    return f"### `{name}`: {title}\n\n{rest.strip()}\n\nTexts go to {hosts}. Variables: {variables}.\n"


if __name__ == "__main__":
    print(reference(), end="")
