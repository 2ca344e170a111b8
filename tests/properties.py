"""How many examples a property is tried with: a part of them by default, all in a thorough run.

`pytest -m hypothesis --hypothesis-profile=thorough` is the thorough run. CI makes it. `few` is for what runs beside
others that try more: another Python.
"""

from hypothesis import HealthCheck, settings

PROFILES = {"few": 5, "default": 25, "thorough": 200}
"""The examples of a property that states no number."""


def register() -> None:
    """Register the profiles. No property fails because the machine paused: hypothesis does the same on a CI server."""
    for name, number in PROFILES.items():
        settings.register_profile(
            name, settings(), max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        )
    settings.load_profile("default")


def examples(number: int, **others: object) -> settings:
    """Return settings with `number` examples in a thorough run, and an eighth of them by default: 15 at least."""
    usual = settings().max_examples
    part = number * usual // PROFILES["thorough"]
    return settings(max_examples=max(min(number, usual, 15), part), **others)
