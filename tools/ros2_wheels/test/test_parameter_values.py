"""Values of parameters given in launch files, and text with substitutions in it."""

from __future__ import annotations

from typing import List  # noqa: UP035

import pytest
from launch import LaunchContext
from launch.substitutions import LaunchConfiguration, TextSubstitution
from launch.utilities import perform_substitutions
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.parameters import evaluate_parameters
from launch_ros.text_with_substitutions import parse_substitutions


@pytest.fixture
def context():
    context = LaunchContext()
    context.launch_configurations.update(one='1', text='a b', yes='true', seq='[1, 2]')
    return context


@pytest.mark.parametrize(
    ('given', 'value'),
    [
        (1, 1),
        (1.5, 1.5),
        (True, True),
        ('1', '1'),  # a plain string stays one
        (LaunchConfiguration('one'), 1),  # the text of a substitution is YAML
        (LaunchConfiguration('yes'), True),
        (LaunchConfiguration('seq'), [1, 2]),
        ([LaunchConfiguration('one'), '.5'], 1.5),
        (['a', 'b'], ['a', 'b']),
        ([1, 2.5], [1.0, 2.5]),
        ([[LaunchConfiguration('one')], ['2']], [1, 2]),
        (ParameterValue(LaunchConfiguration('one'), value_type=str), '1'),
        (ParameterValue(LaunchConfiguration('one'), value_type=float), 1.0),
        (ParameterValue(LaunchConfiguration('one'), value_type=bool), True),
        (ParameterValue(LaunchConfiguration('seq'), value_type=List[int]), [1, 2]),  # noqa: UP006
        (ParameterValue([[LaunchConfiguration('one')], '2'], value_type=list[str]), ['1', '2']),
    ],
)
def test_value(context, given, value):
    found = evaluate_parameters(context, {'p': given})['p']
    assert found == value
    assert type(found) is type(value)


def test_nested_names_are_joined_by_dots_and_may_be_substitutions(context):
    given = {'a': {(TextSubstitution(text='b'), LaunchConfiguration('one')): {'c': 3}}, 'd': 4}
    assert evaluate_parameters(context, given) == {'a.b1.c': 3, 'd': 4}


@pytest.mark.parametrize('bad', [[], ['a', 1], None, object(), TextSubstitution(text='{a: 1}')])
def test_impossible_value_names_the_parameter(context, bad):
    with pytest.raises(TypeError, match="parameter 'p'"):
        evaluate_parameters(context, {'p': bad})


def test_wrong_type_of_a_parameter_value_is_an_error(context):
    with pytest.raises(ValueError, match='invalid literal'):
        ParameterValue(LaunchConfiguration('text'), value_type=int).evaluate(context)
    with pytest.raises(ValueError, match='unrecognized data type'):
        ParameterValue(1, value_type=dict)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('plain: "x"', 'plain: "x"'),
        ('a: $(var one)', 'a: 1'),
        ('$(var none default) $(var none "a b")', 'default a b'),
        ('$(env ROS2_WHEELS_NONE x)$(var $(env ROS2_WHEELS_NONE one))', 'x1'),
        (r'\$(var one)', '$(var one)'),
        ('$(eval 1 + $(var one))', '2'),
    ],
)
def test_text_with_substitutions(context, text, expected):
    assert perform_substitutions(context, parse_substitutions(text)) == expected


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('$(var one', 'not closed'),
        ('$(anon x)', r"unknown substitution '\$\(anon"),
        ('$(find-pkg-share)', 'takes 1 to 1 arguments, got 0'),
    ],
)
def test_bad_text_with_substitutions_is_named(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_substitutions(text)
