"""YAML that people write: every key once, and an error that says what the file should have held.

YAML 1.1 reads 4:00:00 as 14,400, 010 as 8 and `no` as false. Where plain values are wanted they stay the texts
"4:00:00", "010" and "no", and only `null`, `~` and nothing at all are None: the key decides what its text means.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tokenmill.core.errors import RecipeError

NULL, MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"


def load_mapping(path: Path, what: str, keys: str, *, plain: bool) -> dict[str, Any]:
    """The mapping at the top of `path`. Raises RecipeError if it cannot be read, is no YAML, or has a key twice.

    `what` is the kind of file and `keys` the keys that it may have, for the message.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain if plain else _UniqueKeys)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); give the path of {what}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML ({_place_of(error)}); mend it") from None  # its cause shows the line
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: want the keys of {what}: {keys}")
    return content


def _place_of(error: Exception) -> str:
    """Without the line itself, which may hold what was never meant to be shown."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


class _UniqueKeys(yaml.SafeLoader):
    """YAML's last-one-wins would lose a source or a variable that is written twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                problem = f"the key {key!r} stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


class _Plain(_UniqueKeys):
    """Resolves nothing but null and merge keys."""


_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in (NULL, MERGE)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
