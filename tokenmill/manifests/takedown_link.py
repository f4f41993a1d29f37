"""A file of one run that another run has too, unchanged: the same bytes under a second name, not a second copy."""

import os
import shutil
import uuid
from pathlib import Path

from tokenmill.core.errors import DataError
from tokenmill.manifests.local_store import LocalStore
from tokenmill.manifests.manifest import Shard
from tokenmill.manifests.store import ATTEMPTS, Store


def link(run: Path, store: Store, shard: Shard) -> Shard:
    """Give `shard` of `run` its name under `out`; copied where the file system has no hard links.

    Finished runs are never written to, so neither name can change under the other; either may be deleted.
    Raises DataError for a file that is absent or of another size.
    """
    assert isinstance(store, LocalStore)  # a takedown is refused elsewhere, before it begins
    out = store.root
    source, temporary = run / shard.path, out / ATTEMPTS / uuid.uuid4().hex
    if not source.is_file() or source.stat().st_size != shard.bytes:
        raise DataError(f"{source}: absent, or not as the manifest says; restore it and run the same command again")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    (out / shard.path).parent.mkdir(parents=True, exist_ok=True)
    if (out / shard.path).exists() and (out / shard.path).samefile(source):
        temporary.unlink()  # renaming one name of a file to another of the same does nothing, and leaves both
    else:
        os.replace(temporary, out / shard.path)
    return shard
