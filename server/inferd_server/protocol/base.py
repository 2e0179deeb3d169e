"""Body: the base of every request body, and the field types they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Refusals = Mapping[str, Callable[[Any], bool]]
"""Field name -> whether a value is harmless, for fields of features not in this version."""


class Body(BaseModel):
    """Strict: true is not 1 and "2" is not 2. Unknown fields are accepted; those of a request as a
    whole are told of.
    """

    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())

    refused: ClassVar[Refusals] = {}
    inert: ClassVar[frozenset[str]] = frozenset()  # known to clients, and without effect on text
    sources: ClassVar[frozenset[str]] = frozenset()  # fields that grammars are made of

    @classmethod
    @cache
    def known(cls) -> frozenset[str]:
        """Every name that is not told of as unknown."""
        return cls.inert | cls.refused.keys() | cls.model_fields.keys()


def check_unicode(text: str) -> str:
    """Raises ValueError for lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds a lone surrogate, which is not valid Unicode") from None
    return text


Text = Annotated[str, AfterValidator(check_unicode)]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Label = Annotated[str, Field(max_length=64)]
ModelName = Annotated[str, Field(min_length=1, max_length=256, description="as in /v1/models")]
TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True, max_length=128)]
