"""A finished token run, as a blend sees it: its tokenizer, and its shards for training and held out."""

from dataclasses import dataclass
from pathlib import Path

from tokenmill.core.errors import DataError, RecipeError
from tokenmill.manifests.current_pointer import followed
from tokenmill.manifests.manifest import FILE, Manifest, Shard
from tokenmill.manifests.megatron_index import TokenShard, read_header

KIND = "tokens"
HOLDOUT = "holdout-"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSource:
    """`train` and `holdout` are ordered by path; every shard has tokens."""

    name: str
    directory: Path
    identity: str
    tokenizer: str  # sha256
    vocabulary_size: int
    eod: int
    train: tuple[TokenShard, ...]
    holdout: tuple[TokenShard, ...]

    @property
    def tokens(self) -> int:
        """For training."""
        return sum(shard.tokens for shard in self.train)


def open_source(name: str, path: Path, identity: str | None = None) -> TokenSource:
    """Read the manifest at `path`, and of each shard the header and the sizes.

    A pointer is followed first: what comes back names the run. Raises RecipeError if there is no manifest, it is not
    one of tokens or another one than `identity`; DataError if the files contradict it.
    """
    path = Path(followed(str(path)))
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise RecipeError(f"source {name}: no {file}; give the directory of a finished `tokenmill tokenize`")
    manifest = Manifest.load(file)
    directory = file.resolve().parent
    if identity is not None and manifest.identity != identity:
        raise RecipeError(
            f"source {name}: pinned to the run {identity}, and {directory} holds {manifest.identity}; name the "
            "directory of that run, or pin this one"
        )
    try:
        tokenizer, vocabulary_size, eod = (manifest.facts[key] for key in ("tokenizer", "vocabulary_size", "eod"))
    except KeyError as error:
        raise RecipeError(
            f"source {name}: {file} is of {manifest.recipe}, not of tokens (no fact {error}); tokenize that run first"
        ) from error
    binaries = sorted((s for s in manifest.of_kind(KIND) if s.path.endswith(".bin")), key=lambda s: s.path)
    shards = [(_is_holdout(s), _checked(directory, s)) for s in binaries]
    source = TokenSource(
        name=name,
        directory=directory,
        identity=manifest.identity,
        tokenizer=str(tokenizer),
        vocabulary_size=int(vocabulary_size),
        eod=int(eod),
        train=tuple(s for held, s in shards if not held),
        holdout=tuple(s for held, s in shards if held),
    )
    if not source.train:
        raise DataError(f"{file}: no shard for training among {len(manifest.shards):,} files; tokenize again")
    return source


def _is_holdout(shard: Shard) -> bool:
    return shard.path.rpartition("/")[2].startswith(HOLDOUT)


def _checked(directory: Path, shard: Shard) -> TokenShard:
    path = directory / shard.path
    found = read_header(path.with_name(path.name.removesuffix(".bin")))
    if found.tokens * found.dtype.itemsize != shard.bytes:
        raise DataError(
            f"{path}: {found.tokens * found.dtype.itemsize:,} bytes, the manifest says {shard.bytes:,}; restore it or "
            "tokenize again"
        )
    if not found.tokens:
        raise DataError(f"{path}: no tokens, and Megatron cannot open an empty shard; tokenize again")
    return found
