from mammoseg.acceptance import Accepted, Code, to_accept


def test_nothing_is_the_same_as_itself_alone(tmp_path):
    assert Accepted(tmp_path).same_as("a") == {"a"}
    assert Accepted(tmp_path).representative("a") == "a"
    assert Code.of(tmp_path, "a") == Code("a", frozenset({"a"}))
    assert Code.of(tmp_path, "a", rebuild=True).same == frozenset()


def test_what_old_code_made_counts_as_made_by_the_new_from_then_on(tmp_path):
    accepted = Accepted(tmp_path)
    accepted.accept("b", ["a"])
    accepted.save()
    again = Accepted(tmp_path)
    assert again.representative("b") == again.representative("a") == "a", "so Snakemake sees what it wrote down"
    assert Code.of(tmp_path, "b").same == {"a", "b"}
    again.accept("c", ["a", "b"])
    assert again.representative("c") == "a"
    assert again.same_as("b") == {"a", "b", "c"}
    assert again.same_as("other") == {"other"}


def test_who_was_accepted_earlier_stays_accepted(tmp_path):
    accepted = Accepted(tmp_path)
    accepted.accept("b", ["a"])
    accepted.accept("b", ["c"])
    assert accepted.same_as("b") == {"a", "b", "c"}


def test_groups_that_meet_become_one(tmp_path):
    accepted = Accepted(tmp_path)
    accepted.accept("b", ["a"])
    accepted.accept("d", ["c"])
    accepted.accept("e", ["b", "d"])
    assert accepted.same_as("a") == set("abcde")
    assert len({accepted.representative(x) for x in "abcde"}) == 1


def test_only_what_other_code_made_and_is_current_otherwise_is_listed(tmp_path):
    records = [
        {"rule": "r", "code": code, "recipe": {"side": side}}
        for code, side in (("old", 1), ("old", 1), ("now", 1), ("old", 2))
    ]
    records += [
        {"rule": "gone", "code": "x", "recipe": {}},
        {"rule": "r", "code": "older", "recipe": {"dropped": True}},
    ]
    accepted = Accepted(tmp_path)

    def recipe_now(record):
        return None if "dropped" in record["recipe"] else {"side": 1}

    assert to_accept(records, {"r": "now"}, recipe_now, accepted) == {"r": {"old": 2}}
    accepted.accept("now", ["old"])
    assert to_accept(records, {"r": "now"}, recipe_now, accepted) == {}
