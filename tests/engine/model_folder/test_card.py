import pytest

from engine import licence_of_card


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ("---\ntags: [code]\nlicense: 'mit'\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: model-research\n---\n", "model-research"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: \x1b[31mred\n---\n", ""),
        (f"---\nlicense: {'a' * 99}\n---\n", "a" * 60),
        ("---\ntags: [code]\n---\nlicense: mit\n", ""),
        ("# A model\nlicense: mit\n", ""),
        ("", ""),
    ],
)
def test_the_licence_is_what_the_head_of_the_card_states(card: str, licence: str):
    assert licence_of_card(card) == licence
