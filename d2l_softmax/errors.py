"""The one error that the user can fix."""


class UserError(Exception):
    """Something is wrong with the input, the data or the machine, not with the program.

    Its message is one line that says what, where and what to do; the command line prints it on stderr and exits
    with status 2.
    """
