"""The two kinds of trouble that are not bugs: a user's mistake, and a file that cannot be used."""


class UserError(Exception):
    """A mistake of the user: one clear sentence that says what is wrong, where, and what to do. It ends the run."""


class Unusable(Exception):
    """A file that is set aside, never an end of the run.

    Parameters
    ----------
    reason : str
        A short code in snake_case, the same for all files of that kind, e.g. ``"no_pixel_data"``.
    explanation : str
        One sentence for a person. It must hold nothing that may identify a patient: no path, no id, no UID.
    """

    def __init__(self, reason: str, explanation: str):
        super().__init__(f"{reason}: {explanation}")
        self.reason = reason
        self.explanation = explanation
