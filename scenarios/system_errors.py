"""What the operating system says of an error, as part of a sentence."""


def reason_of(error: BaseException) -> str:
    """The system's own words where it has some, in lower case: "no such file or directory"."""
    return (getattr(error, "strerror", None) or str(error)).lower()
