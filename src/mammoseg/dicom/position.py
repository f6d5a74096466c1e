"""Which breast, which view, how large a pixel: from the header alone."""

from pydicom.dataset import Dataset

from mammoseg.dicom.values import first_item, numbers, text

VIEWS = frozenset({"CC", "MLO", "ML", "LM", "LMO", "FB", "SIO", "ISO", "XCC", "XCCL", "XCCM"})
# PS3.16 CID 4014 by SNOMED CT code; the older code of schemes SRT and SNM3 beside it. FB: from below.
VIEW_CODES = {
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
    **dict.fromkeys(("399099002", "R-10230"), "LMO"),
    **dict.fromkeys(("399196006", "R-10244"), "FB"),
    **dict.fromkeys(("399192008", "R-1024A"), "XCCL"),
    **dict.fromkeys(("399101009", "R-1024B"), "XCCM"),
    **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
    **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
}
SPECIMEN_CODES = frozenset({"127457009", "G-8310"})
SIDES = {"SIN": "L", "DEX": "R"}
MAGNIFIED = (
    1.2  # a compressed breast of 8 cm, seen from 65 cm, is enlarged 1.14 times; in magnification views 1.5 and more
)


def laterality_and_view(header: Dataset) -> tuple[str, str]:
    """Side and view of a mammogram.

    ViewPosition may be a view, or side and view in one word (RMLO). Where it is empty, some devices write both into
    AcquisitionDeviceProcessingDescription ("MLO SIN", "CC DEX"); last comes ViewCodeSequence. The side is
    ImageLaterality's, then Laterality's, then what came with the view.

    Returns
    -------
    laterality : str
        ``"L"``, ``"R"`` or ``""``.
    view : str
        One of `VIEWS`, or ``""``.
    """
    side, view = side_and_view(text(header, "ViewPosition").upper())
    if not view:
        words = text(header, "AcquisitionDeviceProcessingDescription").upper().split()
        if len(words) >= 2 and words[0] in VIEWS and words[1] in SIDES:
            view, side = words[0], SIDES[words[1]]
    if not view:
        view = VIEW_CODES.get(_view_code(header), "")
    named = (text(header, keyword).upper() for keyword in ("ImageLaterality", "Laterality"))
    return next((n for n in named if n in ("L", "R")), side), view


def is_specimen(header: Dataset) -> bool:
    """Whether the header says that the image shows removed tissue and not a breast."""
    return _view_code(header) in SPECIMEN_CODES or "SPECIMEN" in text(header, "ImageType").upper().split("\\")


def chest_wall_side(header: Dataset) -> str:
    """Edge of the picture on which the chest wall lies by PatientOrientation: ``"left"``, ``"right"``, or ``""``.

    Its first value is the direction in which the columns go on: A (anterior) means away from the chest wall, P towards it.
    Some data sets keep the view in it, which says nothing.
    """
    direction = text(header, "PatientOrientation").upper().split("\\")[0]
    return {"A": "left", "P": "right"}.get(direction[:1], "") if set(direction) <= set("APRLHF") else ""


def pixel_spacing_mm(header: Dataset) -> float | None:
    """Side of a square pixel in millimetres: PixelSpacing, else ImagerPixelSpacing (at the detector, not in the breast).

    None where neither is given, or where they are no positive numbers or not square within 1 %; and for a magnification view,
    whose headers give the spacing at the detector or in the breast, and do not say which.
    """
    magnified = numbers(header, "EstimatedRadiographicMagnificationFactor")
    if magnified and magnified[0] > MAGNIFIED:
        return None
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = numbers(header, keyword)
        if len(spacing) == 2 and min(spacing) > 0:
            return spacing[0] if max(spacing) <= 1.01 * min(spacing) else None
    return None


def side_and_view(position: str) -> tuple[str, str]:
    """Side and view of a ViewPosition in upper case: ``"MLO"`` → ``("", "MLO")``, ``"RMLO"`` → ``("R", "MLO")``.

    Both are empty where it is neither one of `VIEWS` nor a side and one of them.
    """
    if position in VIEWS:
        return "", position
    if position[:1] in ("L", "R") and position[1:] in VIEWS:
        return position[0], position[1:]
    return "", ""


def _view_code(header: Dataset) -> str:
    item = first_item(header, "ViewCodeSequence")
    return "" if item is None else text(item, "CodeValue")
