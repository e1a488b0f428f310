"""The one error that is the user's to mend."""


class UserError(Exception):
    """A mistake in data, flags or files. The message says what, where, what is allowed, what next.

    The command line prints it without a traceback and exits with code 2.
    """
