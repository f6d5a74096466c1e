import pytest

from mammoseg.runtime.files import read_csv, whole, write_csv, write_text


def test_a_failure_leaves_the_old_file_and_no_part(tmp_path):
    target = tmp_path / "a.csv"
    write_text(target, "old")
    with pytest.raises(RuntimeError), whole(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_the_temporary_name_keeps_the_ending(tmp_path):
    with whole(tmp_path / "deep" / "a.png") as part:
        assert part.suffix == ".png"
        part.write_bytes(b"x")
    assert (tmp_path / "deep/a.png").read_bytes() == b"x"


def test_csv_round_trip_with_commas_quotes_newlines_and_missing_values(tmp_path):
    rows = [{"a": 'x, "y"\nz', "b": None}, {"a": "ä", "c": "dropped"}]
    write_csv(tmp_path / "t.csv", ("a", "b"), rows)
    assert read_csv(tmp_path / "t.csv") == [{"a": 'x, "y"\nz', "b": ""}, {"a": "ä", "b": ""}]
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()
