"""YAML whose plain values stay as they were written: what a key wants decides what its text means.

YAML 1.1 reads 4:00:00 as 14,400, 010 as 8 and `no` as false. Here they are the texts "4:00:00", "010" and "no"; only
`null`, `~` and nothing at all are None.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tokenmill.core.errors import RecipeError

NULL, MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"


def load_mapping(path: Path, what: str, keys: str) -> dict[str, Any]:
    """The mapping at the top of `path`. Raises RecipeError if it cannot be read, is no YAML, or has a key twice.

    `what` is the kind of file and `keys` the keys that it may have, for the message.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Plain)
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); give the path of {what}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML ({' '.join(str(error).split())}); mend it") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: want the keys of {what}: {keys}")
    return content


class _Plain(yaml.SafeLoader):
    # Last-one-wins would lose a source or a variable that is written twice.
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                problem = f"the key {key!r} stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


_Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in (NULL, MERGE)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
