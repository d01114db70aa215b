"""The base of every persisted record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Record(BaseModel):
    """Frozen and closed: an unknown key is an error, NaN and infinity are refused, no field is changed in place."""

    # Not `use_attribute_docstrings`: it reads the source of every model when that is imported, a third of our start.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """Field -> its docstring, read from the source; nothing where there is no source. For schemas and errors."""
        import ast
        import inspect
        import textwrap
        from itertools import pairwise

        found: dict[str, str] = {}
        for model in (base for base in reversed(cls.__mro__) if issubclass(base, Record)):
            try:
                tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
            except (OSError, TypeError, SyntaxError):
                continue
            body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
            for field, text in pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    said = text.value if isinstance(text, ast.Expr) else None
                    if isinstance(said, ast.Constant) and isinstance(said.value, str):
                        found[field.target.id] = inspect.cleandoc(said.value)
        return found

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        """The schema, each property with its docstring as description."""
        schema = handler(core_schema)
        properties: dict[str, Any] = handler.resolve_ref_schema(schema).get("properties", {})
        meanings = cls.meanings()
        for name, described in properties.items():
            if name in meanings:
                described.setdefault("description", meanings[name])
        return schema
