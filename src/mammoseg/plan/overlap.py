"""No patient may stand on two sides of a study."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from mammoseg.runtime.errors import UserError


def refuse_overlap(splits: Iterable[Mapping[str, str]]) -> None:
    """Raise UserError where a patient stands on two sides: two folds, training and holdout, training and external.

    Parameters
    ----------
    splits : rows of splits.csv. Whoever is only predicted, not tested on, may be a training patient too.
    """
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for r in splits:
        if r["role"] != "predict":
            seen[r["patient_id"]].add((r["role"], r["fold"]))
    both = {p: places for p, places in seen.items() if len(places) > 1 and any(r == "train" for r, _ in places)}
    if both:
        patient, places = sorted(both.items())[0]
        words = " and ".join(f"{role} fold {fold}" if fold else role for role, fold in sorted(places))
        raise UserError(
            f"patient {patient} is on both sides: {words} ({len(both)} such patients in splits.csv); "
            "no patient may be trained on and tested on, so take them out of one of the data sets"
        )
