"""Options that several commands have: the fields of a dataclass, written once, and gathered into one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def gathering(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of every dataclass that one of its parameters is annotated with."""
    hints = get_type_hints(function, include_extras=True)
    gathered: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    @wraps(function)
    def with_options(**given: Any) -> None:
        for name, options in gathered.items():
            given[name] = options(**{each.name: given.pop(each.name) for each in fields(options)})
        function(**given)

    own = inspect.signature(function).parameters.values()
    parameters = [option for each in own for option in _options(each, hints[each.name])]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_options


def _options(parameter: inspect.Parameter, hint: Any) -> Iterator[inspect.Parameter]:
    if not is_dataclass(hint):
        yield parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY)
        return
    hints = get_type_hints(hint, include_extras=True)
    for each in fields(hint):
        kind = inspect.Parameter.KEYWORD_ONLY
        yield inspect.Parameter(each.name, kind, annotation=hints[each.name], default=each.default)
